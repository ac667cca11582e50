// The generated modules under each TypeScript that people use, as strict as it can be asked to be by one word.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
for (const name of ["typescript-5", "typescript", "typescript-7"]) {
  const tsc = (...options) =>
    spawnSync(process.execPath, [`node_modules/${name}/bin/tsc`, ...options], {
      cwd: root,
      encoding: "utf8",
    });
  const { status, stdout } = tsc("-p", "test/generated");
  console.log(`${tsc("--version").stdout.trim()}: ${status === 0 ? "no errors" : `\n${stdout}`}`);
  if (status !== 0) process.exitCode = 1;
}
