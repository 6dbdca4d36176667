// A question to a service, asked in the page: GET only, its answer as text or picture.
import { byId, config, element, number, t } from "../page.js";

const MOST_SHOWN = 20_000;
const MOST_READ = 5_000_000;
const FIELDS = ["content-type", "x-call-id", "ratelimit", "ratelimit-policy", "retry-after", "age", "etag", "content-crs"];
const PICTURE = /^image\/(png|jpeg|webp|gif)/;
const TEXT = /json|xml|^text\/|javascript|csv/;

/** Shows the fields that only a script can send, and asks in place of the browser. */
export function enhance(form) {
  for (const one of form.querySelectorAll("[hidden]")) one.hidden = false;
  byId("try-path").disabled = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form).catch((error) => show(element("p", { class: "alert", role: "alert" }, t("try.failed", { why: error.message }))));
  });
}

const show = (...parts) => byId("try-answer").replaceChildren(...parts);

function addressOf(form) {
  const base = new URL(form.dataset.service, document.baseURI);
  const path = byId("try-path").value.trim();
  const url = new URL(base.href + (path && !path.startsWith("/") ? "/" : "") + path);
  if (url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) throw new Error(path);
  for (const input of form.querySelectorAll("input[name], input[data-name]")) {
    const isMeantEmpty = input.name && input.defaultValue === ""; // STYLES of a map
    if (input.value.trim() || isMeantEmpty) url.searchParams.append(input.name || input.dataset.name, input.value.trim());
  }
  for (const [name, value] of new URLSearchParams(form.querySelector("[data-rest]").value)) url.searchParams.append(name, value);
  return url;
}

async function send(form) {
  const url = addressOf(form);
  const key = form.querySelector("[data-key]").value.trim();
  show(element("p", {}, t("try.sending")));
  const begun = performance.now();
  const response = await fetch(url, {
    headers: { "Accept-Language": config.lang, ...(key ? { "X-API-Key": key } : {}) },
    credentials: key ? "omit" : "same-origin", cache: "no-store",
  });
  const { bytes, isWhole } = await read(response);
  const took = performance.now() - begun;
  const told = FIELDS.filter((name) => response.headers.has(name))
    .flatMap((name) => [element("dt", { class: "is-code" }, name), element("dd", { class: "is-code" }, response.headers.get(name))]);
  const size = `${isWhole ? "" : "> "}${number(bytes.length)} B`;
  show(
    element("dl", { class: "facts", "data-status": response.status },
      element("dt", {}, t("try.url")), element("dd", { class: "is-code" }, url.href),
      element("dt", {}, t("try.status")), element("dd", { class: response.ok ? "" : "is-error" }, String(response.status)),
      element("dt", {}, t("try.took")), element("dd", {}, `${number(took)} ms`),
      element("dt", {}, t("try.size")), element("dd", {}, size), ...told),
    ...bodyOf(response.headers.get("content-type") ?? "", bytes, size));
}

/** The body, up to what is looked at. */
async function read(response) {
  const chunks = [];
  let length = 0;
  const reader = response.body?.getReader();
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
    if (length > MOST_READ) {
      await reader.cancel();
      return { bytes: new Uint8Array(await new Blob(chunks).arrayBuffer()), isWhole: false };
    }
  }
  return { bytes: new Uint8Array(await new Blob(chunks).arrayBuffer()), isWhole: true };
}

function bodyOf(type, bytes, size) {
  if (PICTURE.test(type)) {
    const image = element("img", { alt: t("try.picture"), class: "try-picture", src: URL.createObjectURL(new Blob([bytes], { type })) });
    return [image];
  }
  if (!TEXT.test(type)) return [element("p", {}, t("try.binary", { size }))];
  let text = new TextDecoder().decode(bytes);
  if (/json/.test(type)) {
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* cut, or no JSON: as it came */ }
  }
  const isLong = text.length > MOST_SHOWN;
  return [
    element("pre", { tabindex: "0", class: "is-tall", "aria-label": t("try.answer") }, isLong ? text.slice(0, MOST_SHOWN) : text),
    isLong ? element("p", { class: "hint" }, t("try.cut", { shown: number(MOST_SHOWN), size })) : element("span"),
  ];
}
