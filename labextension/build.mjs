// Bundles the view for anywidget. usage: node build.mjs OUTFILE
import { build } from "esbuild";

await build({
  entryPoints: ["src/widget.ts"],
  outfile: process.argv[2],
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  logLevel: "warning",
  banner: { js: "// Built from labextension/src by `make panel`; edit there." },
});
