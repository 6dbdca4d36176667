// A form that sends a file: it can be dropped on, says how far it is, and keeps the file where it comes back with a refusal.
import { element, say, t } from "../page.js";

/** The page's answer to `form`; `progress` is told the share that was sent, 0 to 1. */
function sent(form, progress) {
  return new Promise((resolve, reject) => {
    const asked = new XMLHttpRequest(); // fetch tells nothing of what was sent
    asked.open("POST", form.action);
    asked.responseType = "document";
    asked.upload.addEventListener("progress", ({ loaded, total }) => progress(loaded / total));
    asked.addEventListener("load", () => resolve(asked));
    asked.addEventListener("error", () => reject(new Error(t("upload.failed"))));
    asked.send(new FormData(form));
  });
}

/** Shows in `form` what the page that came back says against it. */
function refuse(form, answer) {
  document.getElementById("alert")?.remove();
  const told = answer?.getElementById("alert");
  if (!told) return say(t("upload.failed"), { isError: true });
  const alert = document.importNode(told, true);
  form.before(alert);
  for (const field of form.elements) {
    const other = field.id ? answer.getElementById(field.id) : null;
    if (other?.getAttribute("aria-invalid")) {
      field.setAttribute("aria-invalid", "true");
      const fold = field.closest("details");
      if (fold) fold.open = true;
    } else field.removeAttribute("aria-invalid");
  }
  return alert.focus();
}

export function enhance(form) {
  const input = form.querySelector("input[type=file]");
  const place = input.closest(".drop");
  const button = form.querySelector("[type=submit]");
  const chosen = element("p", { class: "chosen", role: "status" });
  const bar = element("progress", { max: 1, value: 0, hidden: true, "aria-label": button.textContent });
  place.append(chosen);
  button.after(bar);
  const tell = () => {
    const files = [...input.files];
    const size = files.reduce((sum, file) => sum + file.size, 0);
    input.setCustomValidity(size > Number(form.dataset.max || Infinity) ? t("upload.too-large") : "");
    chosen.textContent = files.length ? t("upload.chosen", { names: files.map((file) => file.name).join("、") }) : "";
  };
  input.addEventListener("change", tell);
  for (const name of ["dragenter", "dragover"]) {
    place.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.add("is-over");
    });
  }
  for (const name of ["dragleave", "drop"]) place.addEventListener(name, () => place.classList.remove("is-over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    tell();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    bar.hidden = false;
    try {
      const answer = await sent(form, (share) => {
        bar.value = share;
        chosen.textContent = t("upload.sending", { percent: Math.floor(share * 100) });
      });
      if (answer.status < 400) return location.assign(answer.responseURL);
      refuse(form, answer.response);
    } catch (error) {
      say(error.message, { isError: true });
    }
    button.disabled = false;
    bar.hidden = true;
    return tell();
  });
}
