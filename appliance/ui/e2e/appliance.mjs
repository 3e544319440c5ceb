// A whole appliance of real binaries with the demo replica set, in a temporary folder. HOLDFAST_BIN names the folder of the programs.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const READY_MS_MAX = 300_000;
const STOP_MS_MAX = 90_000;

/** A free port, as the system gives it. */
export const free = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export async function until(what, ms, ask, every = 500) {
  const end = Date.now() + ms;
  let last;
  for (;;) {
    try {
      const found = await ask();
      if (found) return found;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${ms / 1000} s${last ? ` (${last.message})` : ""}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** Starts it; `stop` ends every process and removes the folder. */
export async function startAppliance() {
  const bin = process.env.HOLDFAST_BIN;
  if (!bin) throw new Error("HOLDFAST_BIN names no folder with the programs");
  const dir = await mkdtemp(join(tmpdir(), "holdfast-ui-"));
  const args = [
    "up",
    "--dir",
    dir,
    "--demo",
    "--web-port",
    String(await free()),
    "--ingest-port",
    String(await free()),
  ];
  const up = spawn(join(bin, "holdfast"), args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let ended = false;
  up.stdout.on("data", (data) => (said += data));
  up.stderr.on("data", (data) => (said += data));
  const exit = new Promise((resolve) =>
    up.once("exit", (code) => {
      ended = true;
      resolve(code);
    }),
  );
  const stop = async () => {
    if (!ended) up.kill("SIGTERM");
    const late = setTimeout(() => up.kill("SIGKILL"), STOP_MS_MAX);
    await exit;
    clearTimeout(late);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await until("holdfast up is ready", READY_MS_MAX, () => {
      if (ended) throw new Error(`holdfast up ended:\n${said}`);
      return existsSync(join(dir, "ready.json"));
    });
    /** What the appliance says of itself now: addresses, and the processes that run. */
    const facts = async () => JSON.parse(await readFile(join(dir, "ready.json"), "utf8"));
    const demo = await until("the demo's backup has begun", READY_MS_MAX, async () => (await facts()).demo);
    const ready = await facts();
    const code = (await readFile(join(dir, "data", "setup.code"), "utf8")).trim();
    return { url: ready.webUrl, source: demo.mongoUri, database: ready.mongoUri, bin, dir, code, facts, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Claims it as `admin`, who is then signed in on the page; gives a function that calls the API as that person. */
export async function claimed(page, { url, code }, admin, group) {
  const api = (method, path, body) =>
    page.evaluate(
      async ([m, p, b]) => {
        const init = b ? { headers: { "content-type": "application/json" }, body: JSON.stringify(b) } : {};
        const answer = await fetch(`/api/v1${p}`, { method: m, ...init });
        const text = await answer.text();
        if (!answer.ok) throw new Error(`${p}: ${text}`);
        return text ? JSON.parse(text) : null;
      },
      [method, path, body],
    );
  await page.goto(`${url}/claim`);
  await page.getByRole("textbox", { name: "Set-up code" }).waitFor();
  await api("POST", "/setup/claim", { ...admin, code, group });
  return api;
}
