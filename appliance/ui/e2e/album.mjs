// Starts an appliance with the demo, claims it, waits until it is protected, and photographs every page. Usage: node e2e/album.mjs FOLDER
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startAppliance, until } from "./appliance.mjs";
import { openBrowser } from "./browser.mjs";

const PROTECTED_MS_MAX = 300_000;
const folder = process.argv[2];
const email = "ada@example.com";
const password = "kelp and rock 1843";
const appliance = await startAppliance();
let status = 1;
try {
  const { page, close } = await openBrowser();
  try {
    await page.goto(`${appliance.url}/claim`);
    await page.getByLabel("Set-up code").waitFor();
    const call = (path, body) =>
      page.evaluate(
        async ([p, b]) => {
          const init = b
            ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(b) }
            : {};
          const answer = await fetch(`/api/v1${p}`, init);
          if (!answer.ok) throw new Error(`${p}: ${await answer.text()}`);
          return answer.json();
        },
        [path, body],
      );
    const { mkdir } = await import("node:fs/promises");
    await mkdir(folder, { recursive: true });
    await page.screenshot({ path: join(folder, "claim-desktop-light.png"), fullPage: true });
    await call("/setup/claim", { code: appliance.code, email, password, name: "Ada Byron", group: "demo" });
    const backup = () => call("/groups/demo/backups/demo");
    await until("the demo is protected", PROTECTED_MS_MAX, async () => {
      const { ranges } = await backup();
      return ranges.length > 0 && ranges.at(-1).to.t - ranges[0].from.t > 40;
    });
    const { ranges } = await backup();
    const at = new Date((ranges.at(-1).to.t - 10) * 1000).toISOString();
    await call("/groups/demo/backups/demo/restores", { at });
  } finally {
    await close();
  }
  const script = fileURLToPath(new URL("screenshots.mjs", import.meta.url));
  const env = { ...process.env, HOLDFAST_EMAIL: email, HOLDFAST_PASSWORD: password };
  status = spawnSync(process.execPath, [script, appliance.url, folder], { stdio: "inherit", env }).status ?? 1;
} finally {
  await appliance.stop();
}
process.exit(status);
