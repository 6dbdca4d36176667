// By which attributes: rows of property, comparison and value out of the queryables, or CQL2 by hand.
import { queryablesOf } from "./api.js";
import { codesOf, isNumber, isText, isTime, unitOf } from "./fields.js";
import { byId, element, say, t } from "./page.js";
import { change, current, whenever } from "./state.js";

const NUMBERS = [">=", "<=", "=", "between", "null", "not-null"];
const CODES = ["=", "in", "<>", "null", "not-null"];
const TEXTS = ["has", "starts", "=", "null", "not-null"];
const DAYS = [">=", "<=", "between", "null", "not-null"];
const WITHOUT_VALUE = new Set(["null", "not-null"]);

const operatorsOf = (property) => (codesOf(property).size ? CODES : isNumber(property) ? NUMBERS : isTime(property) ? DAYS : property?.type === "boolean" ? ["="] : TEXTS);
const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
const pattern = (text) => text.replace(/[\\%_]/g, "\\$&");
const named = (name) => (/^[a-z_][a-z0-9_]*$/i.test(name) && !/^(and|or|not|in|like|between|is|null|true|false|date|timestamp|interval|div)$/i.test(name) ? name : `"${name.replaceAll('"', '""')}"`);

function literal(property, value) {
  if (isNumber(property)) return String(Number(value));
  if (property?.type === "boolean") return value === "true" ? "TRUE" : "FALSE";
  if (property?.format === "date") return `DATE('${value}')`;
  if (property?.format === "date-time") return `TIMESTAMP('${value}T00:00:00Z')`;
  return quoted(value);
}

/** One row as CQL2, or "" while it is not complete. */
function clauseOf([name, operator, ...values], properties) {
  const [first, second] = values;
  const property = properties[name];
  if (!property) return "";
  if (operator === "null") return `${named(name)} IS NULL`;
  if (operator === "not-null") return `${named(name)} IS NOT NULL`;
  if (!first || (isNumber(property) && !Number.isFinite(Number(first)))) return "";
  if (operator === "in") return `${named(name)} IN (${values.filter(Boolean).map((value) => literal(property, value)).join(", ")})`;
  if (operator === "between") return second ? `${named(name)} BETWEEN ${literal(property, first)} AND ${literal(property, second)}` : "";
  if (operator === "has") return `CASEI(${named(name)}) LIKE CASEI(${quoted(`%${pattern(first)}%`)})`;
  if (operator === "starts") return `CASEI(${named(name)}) LIKE CASEI(${quoted(`${pattern(first)}%`)})`;
  return `${named(name)} ${operator} ${literal(property, first)}`;
}

export const filterOf = (rows, properties) => rows.map((row) => clauseOf(row, properties)).filter(Boolean).join(" AND ");

function rowsOf({ rows }) {
  try {
    const found = JSON.parse(rows || "[]");
    return Array.isArray(found) ? found.filter((row) => Array.isArray(row)).map((row) => row.map(String)) : [];
  } catch {
    return [];
  }
}

function valueField(property, name, value, label, onInput) {
  const codes = codesOf(property);
  if (codes.size || property?.type === "boolean") {
    const options = codes.size ? [...codes] : [["true", t("yes")], ["false", t("no")]];
    const select = element("select", { "aria-label": label }, element("option", { value: "" }, "–"), ...options.map(([code, title]) => element("option", { value: code }, title)));
    select.value = value;
    select.addEventListener("change", () => onInput(select.value));
    return select;
  }
  const kind = isNumber(property) ? "number" : isTime(property) ? "date" : "text";
  const input = element("input", { type: kind, step: kind === "number" ? "any" : null, value, "aria-label": label, placeholder: unitOf(property) || null });
  input.addEventListener("change", () => onInput(input.value.trim()));
  return input;
}

/** One box for each code; `onInput` is given the codes that are ticked. */
function severalField(property, values, label, onInput) {
  const boxes = [...codesOf(property)].map(([code, title]) => {
    const box = element("input", { type: "checkbox", value: code });
    box.checked = values.includes(code);
    return [box, element("label", { class: "check" }, box, title)];
  });
  const group = element("span", { class: "several", role: "group", "aria-label": label }, ...boxes.map(([, shown]) => shown));
  group.addEventListener("change", () => onInput(boxes.filter(([box]) => box.checked).map(([box]) => box.value)));
  return group;
}

/** The form; it follows the state and the collection that is asked about. */
export function wireFilters() {
  const list = byId("filter-rows");
  const text = byId("filter-text");
  const error = byId("filter-error");
  let properties = {};
  let rows = [];

  const send = () => {
    const complete = rows.filter((row) => clauseOf(row, properties));
    change({ rows: complete.length ? JSON.stringify(complete) : "", filter: filterOf(rows, properties) });
  };
  function draw() {
    list.replaceChildren(...rows.map((row, i) => {
      const [name, operator] = row;
      const property = properties[name];
      const names = element("select", { "aria-label": t("filter.property") }, ...Object.keys(properties).map((one) => element("option", { value: one }, properties[one].title ?? one)));
      names.value = name;
      names.addEventListener("change", () => { rows[i] = [names.value, operatorsOf(properties[names.value])[0], ""]; draw(); send(); });
      const operators = element("select", { "aria-label": t("filter.operator") }, ...operatorsOf(property).map((one) => element("option", { value: one }, t(`op.${one}`))));
      operators.value = operator;
      operators.addEventListener("change", () => { rows[i] = [name, operators.value, row[2] ?? "", ...(operators.value === "between" ? [row[3] ?? ""] : [])]; draw(); send(); });
      const value = (at, label) => valueField(property, name, row[at] ?? "", label, (given) => { rows[i][at] = given; send(); });
      return element("li", { class: "filter-row" }, names, operators,
        element("span", { class: "filter-values" },
          operator === "in" ? severalField(property, row.slice(2), t("filter.value"), (codes) => { rows[i] = [name, operator, ...codes]; send(); }) : null,
          WITHOUT_VALUE.has(operator) || operator === "in" ? null : value(2, t("filter.value")),
          operator === "between" ? value(3, t("filter.value-to")) : null),
        element("button", { type: "button", class: "close is-small", "aria-label": t("filter.remove"), onclick: () => { rows.splice(i, 1); draw(); send(); byId("filter-add").focus(); } }, "×"));
    }));
  }
  const follow = (state) => {
    error.textContent = "";
    text.removeAttribute("aria-invalid");
    if (JSON.stringify(rows.filter((row) => clauseOf(row, properties))) !== (state.rows || "[]")) {
      rows = rowsOf(state).filter(([name]) => properties[name]);
      draw();
    }
    text.value = state.filter;
    if (state.filter && !state.rows) byId("filter-expert").open = true;
  };
  const prepare = async (state) => {
    try {
      const { properties: found } = await queryablesOf(state.about);
      if (state.about !== current().about) return;
      properties = Object.fromEntries(Object.entries(found).filter(([, one]) => isText(one) || isNumber(one) || isTime(one) || one.type === "boolean"));
      rows = [];
      draw();
      follow(current());
    } catch (problem) {
      say(problem.message, { isError: true });
    }
  };

  byId("filter-add").addEventListener("click", () => {
    const names = Object.keys(properties);
    const name = ["height_m", "use", "kind"].find((one) => names.includes(one) && !rows.some((row) => row[0] === one)) ?? names[0];
    if (!name) return;
    rows.push([name, operatorsOf(properties[name])[0], ""]);
    draw();
    list.lastElementChild.querySelector("select").focus();
  });
  byId("filter-expert-form").addEventListener("submit", (event) => {
    event.preventDefault();
    rows = [];
    draw();
    change({ rows: "", filter: text.value.trim() });
  });
  whenever(["rows", "filter"], (state, changed) => { if (!changed.includes("about")) follow(state); });
  whenever(["about"], prepare);
  prepare(current());
  return {
    /** Shows what the server says is wrong with the filter. */
    refuse(problem) {
      byId("filter-expert").open = true;
      error.textContent = problem.message;
      text.setAttribute("aria-invalid", "true");
    },
  };
}
