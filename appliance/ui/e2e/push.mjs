// A restore pushed by SFTP from a real Chromium to a real OpenSSH server: the key copied, the host key compared, the target tested, a push that
// is refused and made again, one that is called off; the archive there is whole.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { claimed, startAppliance, until } from "./appliance.mjs";
import { openBrowser, settled } from "./browser.mjs";
import { startSshd } from "./servers.mjs";

const SNAPSHOT_MS_MAX = 300_000;
const PUSH_MS_MAX = 60_000;
const ADMIN = { name: "Ada Byron", email: "ada@example.com", password: "kelp and rock 1843" };
const step = (text) => console.log(`- ${text}`);

const sshd = await startSshd();
const appliance = await startAppliance();
const { page, close } = await openBrowser();
const errors = [];
page.on("pageerror", (error) => errors.push(`${page.url()}: ${error.message}`));
try {
  const { url } = appliance;
  const api = await claimed(page, appliance, ADMIN, "demo");

  step("a target is added: its host key is shown, and what is shown is what the server prints");
  await page.goto(`${url}/g/demo/sftp`);
  await page.getByText("No target yet").waitFor();
  const key = (await page.getByLabel("Public key of this group", { exact: true }).innerText()).trim();
  assert.match(key, /^ssh-ed25519 \S+ holdfast-demo$/);
  await page.getByRole("button", { name: "Add a target" }).click();
  await page.getByLabel("Name").fill("vault");
  await page.getByLabel("User there").fill(sshd.user);
  await page.getByLabel("Host", { exact: true }).fill("127.0.0.1");
  await page.getByLabel("Port of SSH").fill(String(sshd.port));
  await page.getByLabel("Folder").fill(sshd.folder);
  await page.getByRole("button", { name: "Look at its host key" }).click();
  assert.equal((await page.getByTestId("fingerprint").innerText()).trim(), sshd.fingerprint);
  assert.ok(await page.getByRole("button", { name: "Add vault" }).isDisabled(), "not before someone compared");
  await page.getByLabel("The server prints the same fingerprint").check();
  await page.getByRole("button", { name: "Add vault" }).click();
  await page.getByRole("cell", { name: "vault", exact: true }).waitFor();

  step("the test says what is missing");
  await page.getByRole("button", { name: "Test vault" }).click();
  await page
    .getByRole("alert")
    .getByText(/authorized_keys/)
    .waitFor();

  step("a restore is asked for with its push; the server refuses, and the page says what to do");
  await until("a snapshot", SNAPSHOT_MS_MAX, async () => {
    const all = await api("GET", "/groups/demo/backups/demo/snapshots").catch(() => []);
    return all.some((snapshot) => snapshot.state === "complete");
  });
  const snapshots = await api("GET", "/groups/demo/backups/demo/snapshots");
  const snapshot = snapshots.find(({ state }) => state === "complete").id;
  await page.goto(`${url}/g/demo/backups/demo/restore?snapshot=${snapshot}`);
  await page.getByText("Pushed by SFTP").click();
  await page.getByText(new RegExp(`${sshd.user}@127.0.0.1:${sshd.port}`)).waitFor();
  await page.getByLabel("Why").fill("a drill");
  await page.getByRole("button", { name: /^Prepare .*, push it to vault$/ }).click();
  await page.waitForURL(/\/restores\/[0-9a-f]+$/);
  const push = page.getByRole("region", { name: "Push by SFTP" });
  await push.getByText("Not delivered", { exact: true }).waitFor({ timeout: PUSH_MS_MAX });
  await push
    .getByTestId("delivery-error")
    .getByText(/authorized_keys/)
    .waitFor();

  step("with the key there it is pushed again, and the archive is whole");
  await sshd.authorize(key);
  await push.getByRole("button", { name: "Push it again" }).click();
  await push.getByText("Delivered", { exact: true }).waitFor({ timeout: PUSH_MS_MAX });
  const path = (await push.getByLabel("Path at the server", { exact: true }).innerText()).trim();
  const restore = await api("GET", `/restores/${page.url().split("/").at(-1)}`);
  assert.equal(path, restore.delivery.path);
  assert.equal((await stat(path)).size, restore.bytes);
  const into = join(appliance.dir, "unpacked");
  await mkdir(into);
  execFileSync("tar", ["--use-compress-program=unzstd", "-xf", path, "-C", into]);
  assert.match(execFileSync("find", [into, "-name", "WiredTiger.turtle"], { encoding: "utf8" }), /WiredTiger\.turtle/);
  const there = await readdir(sshd.folder);
  assert.deepEqual(
    there.filter((name) => name.endsWith(".part")),
    [],
  );

  step("a push to a server that is away waits, and is called off");
  await page.goto(`${url}/g/demo/sftp`);
  await page.getByRole("button", { name: "Test vault" }).click();
  await page.getByText(/vault lets the appliance in/).waitFor();
  await sshd.stop();
  await page.goto(`${url}/g/demo/restores/${restore.id}`);
  await push.getByRole("button", { name: "Push it again" }).click();
  await push.getByText(/It is tried again by itself/).waitFor({ timeout: PUSH_MS_MAX });
  await push.getByRole("button", { name: "Call off this push…" }).click();
  await page.getByRole("button", { name: "Call it off" }).click();
  await push.getByText("Called off", { exact: true }).waitFor();

  step("the target is removed");
  await page.goto(`${url}/g/demo/sftp`);
  await settled(page);
  await page.getByRole("button", { name: "Remove vault" }).click();
  await page.getByRole("button", { name: "Remove it" }).click();
  await page.getByText("No target yet").waitFor();
  assert.deepEqual(errors, []);
  console.log("the push is complete");
} catch (error) {
  const file = join(tmpdir(), "holdfast-push.png");
  await page.screenshot({ path: file }).catch(() => undefined);
  console.error(`stood at ${page.url()} (${file})`);
  throw error;
} finally {
  await close();
  await appliance.stop();
  await sshd.stop();
}
