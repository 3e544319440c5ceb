// Prints what the first page costs, compressed, and fails beyond the bound: whoever asks "is it safe" on a phone waits for it.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BYTES_MAX = 250 * 1024;
const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));

const files = new Set(["index.html", "color-scheme.js"]);
function add(key) {
  const chunk = manifest[key];
  if (!chunk || files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const css of chunk.css ?? []) files.add(css);
  for (const next of chunk.imports ?? []) add(next);
}
// The first page is the entry and, after sign-in, the overview.
add("index.html");
add("src/pages/Overview.tsx");

let total = 0;
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
for (const file of files) {
  const size = gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
  total += size;
  console.log(`${kib(size).padStart(10)}  ${file}`);
}
console.log(`${kib(total).padStart(10)}  first page, compressed (at most ${kib(BYTES_MAX)})`);
if (total > BYTES_MAX) {
  console.error("the first page is too large");
  process.exit(1);
}
