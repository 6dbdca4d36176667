// Talking to the API. Addresses are relative to the node's root, so that it works under any host and path.
import { config } from "./page.js";

const HEADERS = { Accept: "application/json, application/geo+json;q=0.9", "Accept-Language": config.lang };

export class Problem extends Error {
  constructor(document, status) {
    super(document.detail || document.title || `HTTP ${status}`);
    this.status = status;
    this.code = (document.type || "").split("/").pop();
    this.parameter = document.parameter ?? null;
  }
}

/** `path` (from the node's root) with `parameters` as a URL. */
export function address(path, parameters = {}) {
  const url = new URL(path, new URL(config.root || "./", document.baseURI));
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value);
  return url;
}

async function answer(url, options) {
  const response = await fetch(url, options);
  if (!response.ok) throw new Problem(await response.json().catch(() => ({})), response.status);
  return response.json();
}

export const getJson = (path, parameters, signal) =>
  answer(address(path, parameters), { headers: HEADERS, signal });

export const postJson = (path, body, signal) =>
  answer(address(path), {
    method: "POST",
    body: JSON.stringify(body),
    headers: { ...HEADERS, "Content-Type": "application/json" },
    signal,
  });

/** Every feature of `/collections/{id}/items`, page by page along `next`; at most `most` of them. */
export async function allFeatures(collection, parameters = {}, most = 20000) {
  const path = `collections/${encodeURIComponent(collection)}/items`;
  const features = [];
  let url = address(path, { limit: 1000, ...parameters });
  while (url && features.length < most) {
    const page = await answer(url, { headers: HEADERS });
    features.push(...page.features);
    const next = (page.links || []).find((link) => link.rel === "next");
    url = null;
    if (next) { // the link carries the public host; the page may be seen under another
      url = address(path);
      url.search = new URL(next.href, document.baseURI).search;
    }
  }
  return features;
}

/** The first of `limit` features, and only these. */
export const firstFeatures = async (collection, parameters, signal) =>
  (await getJson(`collections/${encodeURIComponent(collection)}/items`, parameters, signal)).features;

const documents = new Map();
function once(path) {
  if (!documents.has(path)) {
    const asked = getJson(path);
    asked.catch(() => documents.delete(path));
    documents.set(path, asked);
  }
  return documents.get(path);
}

/** The JSON Schema of a collection's features, fetched once. */
export const schemaOf = (collection) => once(`collections/${encodeURIComponent(collection)}/schema`);
/** What its filters may name, and what it may be ordered by, each fetched once. */
export const queryablesOf = (collection) => once(`collections/${encodeURIComponent(collection)}/queryables`);
export const sortablesOf = (collection) => once(`collections/${encodeURIComponent(collection)}/sortables`);

/** Header fields that a change carries in a session (against requests forged by other sites); none without a session. */
export async function changeHeaders() {
  const { csrf } = await getJson("sessions/current");
  return csrf ? { "X-CSRF-Token": csrf } : {};
}
