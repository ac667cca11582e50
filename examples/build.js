// Builds the pages of the examples, each from its `page/src` into its `page/dist`, which is committed and compiled into the
// example, so that running one needs no npm.
//
//     node build.js                            writes what has changed
//     node build.js --check                    fails if what is committed is not what the sources give

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";

const PAGES = ["cursors", "notifications", "terminal"];

const here = import.meta.dirname;
const checks = process.argv.includes("--check");

/** What the sources of a page give, by the path of each file. */
async function built(page) {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: { page: `./${page}/page/src/main` },
    outdir: `${page}/page/dist`,
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    charset: "utf8",
    define: { "process.env.NODE_ENV": '"production"' },
    legalComments: "eof",
    // The client is linked, not installed: its folder has a React of its own, for its tests. A page must not have two.
    alias: { react: join(here, "node_modules/react") },
  });
  const html = {
    path: join(here, page, "page/dist/index.html"),
    contents: readFileSync(join(here, page, "page/src/index.html")),
  };
  return [...outputFiles, html];
}

const files = (await Promise.all(PAGES.map(built))).flat();
const stale = files.filter(({ path, contents }) => !existsSync(path) || !readFileSync(path).equals(contents));
for (const { path, contents } of checks ? [] : stale) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, contents);
}
if (checks && stale.length > 0) {
  const names = stale.map(({ path }) => path.slice(here.length + 1)).join(", ");
  console.error(`not what the sources give: ${names}; run \`npm run build\` in examples`);
  process.exitCode = 1;
}
