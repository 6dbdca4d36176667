// What scripts add to the shelf's and the desk's pages, which work without them: an element says in `data-does` what it takes.
const DOES = {
  calls: () => import("./pages/calls.js"),
  copy: () => import("./pages/copy.js"),
  rows: () => import("./pages/rows.js"),
  chart: () => import("./pages/chart.js"),
  extent: () => import("./pages/extent.js"),
  submit: () => import("./pages/submit.js"),
  try: () => import("./pages/try.js"),
  upload: () => import("./pages/upload.js"),
  watch: () => import("./pages/watch.js"),
  rejections: () => import("./pages/rejections.js"),
};

for (const place of document.querySelectorAll("[data-does]")) {
  for (const name of place.dataset.does.split(" ")) {
    if (DOES[name]) DOES[name]().then(({ enhance }) => enhance(place));
  }
}

document.querySelector(".sections [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone they are one long row
document.getElementById("alert")?.focus(); // a form that came back says why at once
