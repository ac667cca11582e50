// Builds the page into `dist`, which is committed and compiled into the example, so that running it needs no npm.
//
//     node build.js                            writes `dist`
//     node build.js --check                    fails if `dist` is not what the sources give
//     node build.js --development FOLDER       writes it with React's own checks into another folder, for tests

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const [mode, folder] = process.argv.slice(2);
const development = mode === "--development";

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: { page: "src/main.tsx" },
  outdir: "dist",
  bundle: true,
  write: false,
  minify: !development,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  charset: "utf8",
  legalComments: "eof",
  define: { "process.env.NODE_ENV": development ? '"development"' : '"production"' },
  // The client is linked, not installed: its folder has a React of its own, for its tests. The page must not have two.
  alias: { react: "./node_modules/react" },
});
const files = outputFiles.map(({ path, contents }) => [path.slice(join(here, "dist/").length), contents]);
files.push(["index.html", readFileSync(join(here, "src/index.html"))]);

const out = development ? folder : join(here, "dist");
if (mode === "--check") {
  const stale = files.filter(([name, contents]) => {
    const path = join(out, name);
    return !existsSync(path) || !readFileSync(path).equals(contents);
  });
  if (stale.length > 0) {
    console.error(
      `not what the sources give: ${stale.map(([name]) => `dist/${name}`).join(", ")}; run \`npm run build\``,
    );
    process.exitCode = 1;
  }
} else {
  mkdirSync(out, { recursive: true });
  for (const [name, contents] of files) writeFileSync(join(out, name), contents);
}
