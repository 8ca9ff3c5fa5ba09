// Builds every view into ../synthema_views. Each built file begins with the SHA-256 of the sources, which a test of
// the repository computes again: a source changed without a new build is found.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";

const views = ["gauge", "tracker"];
const sources = readdirSync("src").sort().map((name) => `src/${name}`);

const hash = createHash("sha256");
for (const path of ["build.mjs", "package.json", ...sources]) {
  hash.update(`${path}\n`).update(readFileSync(path)).update("\n");
}
const banner = `/* Built from extensions/views by "npm run build"; do not edit. sources-sha256: ${hash.digest("hex")} */`;

for (const view of views) {
  for (const kind of ["ts", "css"]) {
    await build({
      entryPoints: [`src/${view}.${kind}`],
      bundle: true,
      format: "esm",
      target: "es2022",
      charset: "utf8",
      legalComments: "none",
      banner: { js: banner, css: banner },
      outdir: "../synthema_views",
    });
  }
}
