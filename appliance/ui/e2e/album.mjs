// Starts an appliance with the demo, claims it, waits until it is protected, and photographs every page. Usage: node e2e/album.mjs FOLDER
import { Long } from "mongodb";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startAppliance, until } from "./appliance.mjs";
import { openBrowser } from "./browser.mjs";
import { connect } from "./mongo.mjs";

const PROTECTED_MS_MAX = 300_000;
const folder = process.argv[2];
const email = "ada@example.com";
const password = "kelp and rock 1843";

/** A week of samples of the blockstore, so that its charts show more than a minute. */
async function addSamples(uri) {
  const client = await connect(uri);
  const now = Math.floor(Date.now() / 1000);
  const samples = [];
  for (let at = now - (now % 300) - 6 * 86_400; at < now - 600; at += 1800) {
    const day = (at - now) / 86_400 + 7;
    const wave = Math.sin(day * 6.28) * 0.1;
    const stored = Math.round(2e9 * (1 + day * 0.3 + wave));
    const numbers = {
      logicalBytes: Math.round(stored * (9 + day)),
      rawBytes: stored * 2,
      storedBytes: stored,
      diskBytes: Math.round(stored * 1.1),
      uniqueBytes: Math.round(stored * 0.3),
      reclaimableBytes: Math.round(stored * (0.05 + Math.abs(wave))),
      freeBytes: 40e9 - stored,
    };
    samples.push({
      _id: { span: Long.fromNumber(300), at: Long.fromNumber(at) },
      numbers: longs(numbers),
      ...answers(wave),
    });
  }
  await client.db("holdfast").collection("blockstore_samples").insertMany(samples);
  await client.close();
}
const longs = (numbers) => Object.fromEntries(Object.entries(numbers).map(([name, n]) => [name, Long.fromNumber(n)]));
const answers = (wave) => ({ hits: Long.fromNumber(Math.round(900 + wave * 800)), misses: Long.fromNumber(100) });

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
    await addSamples(appliance.database);
    const { ranges } = await backup();
    const at = new Date((ranges.at(-1).to.t - 10) * 1000).toISOString();
    await call("/groups/demo/backups/demo/restores", { at });
  } finally {
    await close();
  }
  const script = fileURLToPath(new URL("screenshots.mjs", import.meta.url));
  const env = { ...process.env, HOLDFAST_EMAIL: email, HOLDFAST_PASSWORD: password };
  const shots = spawn(process.execPath, [script, appliance.url, folder], { stdio: "inherit", env });
  status = await new Promise((resolve) => shots.once("exit", (code) => resolve(code ?? 1)));
} finally {
  await appliance.stop();
}
process.exit(status);
