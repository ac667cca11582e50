import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (name: string) => fileURLToPath(new URL(`src/${name}.ts`, import.meta.url));

export default defineConfig({
  resolve: {
    // The React entry uses the others by their public names, as everybody does.
    alias: [
      { find: /^@wirelark\/client\/presence$/, replacement: source("presence") },
      { find: /^@wirelark\/client\/raw$/, replacement: source("raw") },
      { find: /^@wirelark\/client\/schema$/, replacement: source("schema") },
      { find: /^@wirelark\/client$/, replacement: source("index") },
    ],
  },
  test: { include: ["test/**/*.test.{ts,tsx}"], restoreMocks: true },
});
