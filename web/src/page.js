// What the server wrote into the page, and the smallest tools to build more of it.
export const config = JSON.parse(document.getElementById("config").textContent);

/** The message of `key` in the page's language, with {names} filled in; a missing key is a fault of the build's tests. */
export function t(key, values = {}) {
  return config.messages[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** `value` with at most (`least`: at least) `digits` decimals, written as the language writes numbers; a dash for nothing. */
export function number(value, digits = 0, least = 0) {
  if (value === null || value === undefined) return "–";
  return new Intl.NumberFormat(config.lang, { maximumFractionDigits: digits, minimumFractionDigits: least }).format(value);
}

/** True where the panel is a sheet at the bottom of a phone, as in portal.css. */
export const isNarrow = () => window.innerWidth < 760;

/** A new element; `on…` attributes are listeners, null and false leave an attribute out. Strings become text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

let quiet;
/** Says `text` in the status line, which screen readers announce; it goes away by itself. */
export function say(text, { isError = false, stays = false } = {}) {
  const line = byId("status");
  clearTimeout(quiet);
  line.textContent = text;
  line.hidden = !text;
  line.classList.toggle("is-error", isError);
  if (text && !stays) quiet = setTimeout(() => { line.hidden = true; }, isError ? 9000 : 4000);
}

/** A button that copies what `text()` gives and says so. */
export function copyButton(text, label = t("copy")) {
  const button = element("button", { type: "button", class: "button is-small" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch { // an insecure origin has no clipboard: the old way still works on a click
      const area = element("textarea", { class: "off-screen", "aria-hidden": "true" });
      area.value = text();
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = t("copied");
    say(t("copied"));
    setTimeout(() => { button.textContent = label; }, 1600);
  });
  return button;
}
