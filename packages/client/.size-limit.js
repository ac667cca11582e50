// What each entry costs a page that bundles, minifies and compresses it. A KB is 1000 bytes.

const all = { gzip: true };

export default [
  { ...all, name: "core", path: "dist/index.js", import: "{ connect }", limit: "6 KB" },
  { ...all, name: "core, with everything it exports", path: "dist/index.js", limit: "6.5 KB" },
  { ...all, name: "presence", path: "dist/presence.js", limit: "1.5 KB" },
  { ...all, name: "raw", path: "dist/raw.js", import: "{ openSocket }", limit: "2 KB" },
  {
    ...all,
    name: "react, beside the core, presence and raw",
    path: "dist/react.js",
    ignore: ["@wirelark/client", "@wirelark/client/presence", "@wirelark/client/raw"],
    limit: "2 KB",
  },
  { ...all, name: "share, in a page", path: "dist/share.js", import: "{ shared }", limit: "2 KB" },
  { ...all, name: "share, in the worker", path: "dist/share.js", import: "{ serveTabs }", limit: "2 KB" },
  { ...all, name: "visitor", path: "dist/visitor.js", limit: "0.5 KB" },
  { ...all, name: "schema, all of it", path: "dist/schema.js", limit: "2 KB" },
  {
    ...all,
    name: "msgpack, with its library",
    path: "dist/msgpack.js",
    // A peer dependency is left out unless this is said.
    modifyEsbuildConfig: (config) => ({ ...config, external: [] }),
    limit: "10 KB",
  },
];
