// One step from sources to dist: hashed names, a manifest for the server, nothing fetched at run time.
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const served = join(here, "dist");
const dist = join(here, "node_modules", `.dist-${process.pid}`); // put in place at the end, file by file: a page in use misses nothing
const packageFolder = (name) => join(here, "node_modules", name);
const versionOf = async (name) => JSON.parse(await readFile(join(packageFolder(name), "package.json"), "utf8")).version;
const withoutMap = (text) => text.replace(/\n?\/[/*]# sourceMappingURL=.*$/s, "\n");

const filesIn = async (folder) =>
  (await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)));

// What this build is made of: the server tells when it is not what lies beside it any more (api/portal/built.py).
const names = [];
for (const folder of ["src", "i18n", "swagger"]) names.push(...(await filesIn(join(here, folder))).map((name) => `${folder}/${name}`));
const sources = createHash("sha256");
for (const name of names.sort()) sources.update(`${name}\0`).update(await readFile(join(here, name)));

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, "swagger-ui"), { recursive: true });

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: { portal: "src/main.js", pages: "src/pages.js", map: "src/map.css", frame: "src/frame.css", "pages-style": "src/pages.css", "maps-on-pages": "src/maps-on-pages.css" },
  outdir: dist,
  bundle: true,
  splitting: true, // MapLibre becomes a chunk of its own, so that our script can be changed without sending it again
  format: "esm",
  target: "es2022",
  minify: true,
  metafile: true,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  legalComments: "none",
  logLevel: "warning",
});

const KNOWN_AS = { "src/main.js": "portal.js", "src/pages.js": "pages.js", "src/map.css": "map.css", "src/frame.css": "frame.css", "src/pages.css": "pages.css", "src/maps-on-pages.css": "maps-on-pages.css", "node_modules/maplibre-gl/dist/maplibre-gl.mjs": "maplibre.js", "node_modules/uplot/dist/uPlot.esm.js": "uplot.js" };
const files = {};
for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
  if (KNOWN_AS[entryPoint]) files[KNOWN_AS[entryPoint]] = basename(path);
}

// MapLibre finds its worker by import.meta.url, which a bundle breaks: ship the same version's and name it.
const worker = withoutMap(await readFile(join(packageFolder("maplibre-gl"), "dist/maplibre-gl-worker.mjs"), "utf8"));
const digest = createHash("sha256").update(worker).digest("hex").slice(0, 8).toUpperCase();
files["worker.js"] = `maplibre-worker-${digest}.js`;
await writeFile(join(dist, files["worker.js"]), worker);

for (const name of ["swagger-ui.css", "swagger-ui-bundle.js"]) {
  const text = await readFile(join(packageFolder("swagger-ui-dist"), name), "utf8");
  await writeFile(join(dist, "swagger-ui", name), withoutMap(text));
}
for (const name of ["LICENSE", "NOTICE"]) {
  await cp(join(packageFolder("swagger-ui-dist"), name), join(dist, "swagger-ui", name));
}
for (const name of ["init.js", "page.css"]) await cp(join(here, "swagger", name), join(dist, "swagger-ui", name));
await cp(join(here, "i18n"), join(dist, "i18n"), { recursive: true });
await cp(join(here, "icon.svg"), join(dist, "icon.svg"));
await cp(join(packageFolder("maplibre-gl"), "LICENSE.txt"), join(dist, "maplibre-gl.LICENSE.txt"));
await cp(join(packageFolder("uplot"), "LICENSE"), join(dist, "uplot.LICENSE.txt"));

const versions = {};
for (const name of ["maplibre-gl", "swagger-ui-dist", "uplot"]) versions[name] = await versionOf(name);
await writeFile(join(dist, "manifest.json"), `${JSON.stringify({ versions, files, sources: sources.digest("hex") }, null, 2)}\n`);

const made = (await filesIn(dist)).sort((one, other) => (one === "manifest.json") - (other === "manifest.json"));
for (const name of made) {
  await mkdir(dirname(join(served, name)), { recursive: true });
  await rename(join(dist, name), join(served, name));
}
for (const name of await filesIn(served)) if (!made.includes(name)) await rm(join(served, name), { force: true });
await rm(dist, { recursive: true, force: true });
console.log(`web/dist: ${Object.values(files).join(", ")}`);
