// Generates src/api/schema.d.ts from the committed description of the API, or says with --check that it is stale.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";

const description = new URL("../../web/openapi.json", import.meta.url);
const file = new URL("../src/api/schema.d.ts", import.meta.url);
const head = "// Generated from appliance/web/openapi.json by `npm run client`. Not edited by hand.\n";

// Required in answers even where a default exists: the server always writes them.
const text = head + astToString(await openapiTS(JSON.parse(readFileSync(description, "utf8"))));
if (process.argv.includes("--check")) {
  let committed = "";
  try {
    committed = readFileSync(file, "utf8");
  } catch {
    committed = "";
  }
  if (committed !== text) {
    console.error("src/api/schema.d.ts is stale: run `npm run client` in appliance/ui and commit the result");
    process.exit(1);
  }
} else {
  writeFileSync(file, text);
  console.log(`wrote ${fileURLToPath(file)}`);
}
