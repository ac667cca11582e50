import { defineConfig } from "tsdown";

export default defineConfig({
  entry: [
    "src/index.ts",
    "src/msgpack.ts",
    "src/presence.ts",
    "src/raw.ts",
    "src/react.ts",
    "src/schema.ts",
    "src/share.ts",
    "src/testing.ts",
    "src/visitor.ts",
  ],
  format: ["esm", "cjs"],
  platform: "neutral",
  target: "es2022",
  dts: true,
  fixedExtension: false,
  // The React entry is a user of the others: it must share their classes, and not bring its own.
  deps: { neverBundle: [/^@wirelark\/client/, "@msgpack/msgpack", /^react/] },
});
