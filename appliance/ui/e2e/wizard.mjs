// Another group backs up a replica set of its own: one line is copied and run, everything else happens in the browser.
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startMongod } from "./mongo.mjs";
import { post, step } from "./shared.mjs";

const ARRIVES_MS_MAX = 60_000;
const ACTIVE_MS_MAX = 120_000;
const STOP_MS_MAX = 20_000;

export async function enrolByOneLine({ page, appliance }) {
  step("one copied line enrols an agent; it finds a replica set, and its backup begins");
  const dir = join(appliance.dir, "second");
  await mkdir(dir);
  await post(page, "/groups", { name: "second" });
  const source = await startMongod(join(dir, "db"), { replSet: "rs1" });
  let agent;
  try {
    await source.client
      .db("shop")
      .collection("orders")
      .insertMany(Array.from({ length: 200 }, (_, n) => ({ _id: n, n })));
    await page.goto(`${appliance.url}/g/second/deployments/add`);
    await page.getByText("Waiting for an agent").waitFor();
    await page.getByRole("button", { name: "Show the line to run" }).click();
    const line = (await page.getByLabel("The line that starts an agent", { exact: true }).innerText()).trim();
    const env = { ...process.env, PATH: `${appliance.bin}:${process.env.PATH}` };
    agent = spawn("sh", ["-c", `exec ${line}`], { cwd: dir, env, stdio: "ignore" });
    await page.getByText(/asked for work/).waitFor({ timeout: ARRIVES_MS_MAX });
    await page.getByLabel(/^Connection string/).fill(`mongodb://127.0.0.1:${source.port}/?replicaSet=rs1`);
    await page.getByRole("button", { name: "Let the agent look" }).click();
    await page.getByText(/Replica set rs1, MongoDB/).waitFor({ timeout: ARRIVES_MS_MAX });
    await page.getByText(/privileges are granted/).waitFor();
    await page.getByRole("button", { name: "Start the backup" }).click();
    await page.getByRole("link", { name: "Open the timeline" }).waitFor({ timeout: ACTIVE_MS_MAX });
  } finally {
    if (agent) {
      const ended = new Promise((resolve) => agent.once("exit", resolve));
      agent.kill("SIGTERM");
      const late = setTimeout(() => agent.kill("SIGKILL"), STOP_MS_MAX);
      await ended;
      clearTimeout(late);
    }
    await source.stop();
  }
}
