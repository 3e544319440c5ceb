// The journey of an operator in a real Chromium against real binaries: claim, sign in, see the deployment protected, watch the timeline
// grow, find a mistake, restore the moment before it, download it and open it; back up another replica set by one copied line; a wrong
// code, a wrong password, a link that is over, a role that may not, a session that is ended, a server that dies; axe on every page.
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startAppliance, until } from "./appliance.mjs";
import { openBrowser, setScheme, settled, violations } from "./browser.mjs";
import { makeMistake, restoreBeforeIt, writeNotes } from "./mistake.mjs";
import { connect } from "./mongo.mjs";
import { pages } from "./pages.mjs";
import { serverDies } from "./restart.mjs";
import { api, chosen, GROUP, SET, step } from "./shared.mjs";
import { enrolByOneLine } from "./wizard.mjs";

/** First copy, first snapshot and its proof, on a loaded machine. */
const PROTECTED_MS_MAX = 300_000;
const RESTORE_MS_MAX = 180_000;
const ADMIN = { name: "Ada Byron", email: "ada@example.com", password: "kelp and rock 1843" };
const GUEST = { name: "Carl Gauss", email: "carl@example.com", password: "seventeen sides 1796" };

const signIn = async (page, { email, password }) => {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
};

const appliance = await startAppliance();
const first = await openBrowser();
const second = await openBrowser();
const source = await connect(appliance.source);
const errors = [];
for (const { page } of [first, second]) page.on("pageerror", (error) => errors.push(`${page.url()}: ${error.message}`));
try {
  const { page } = first;
  const { url } = appliance;

  step("an unclaimed appliance asks for its code; a wrong one is refused in words");
  await page.goto(url);
  await page.waitForURL(/\/claim$/);
  const next = () => page.getByRole("button", { name: "Next", exact: true }).click();
  await page.getByRole("textbox", { name: "Set-up code" }).fill("AAAAA-BBBBB-CCCCC-DDDDD");
  await next();
  await page.getByRole("alert").waitFor();
  await page.getByRole("textbox", { name: "Set-up code" }).fill(appliance.code);
  await next();
  await page.getByLabel("Your name").fill(ADMIN.name);
  await page.getByLabel("Your e-mail").fill(ADMIN.email);
  await page.getByLabel("Password", { exact: true }).fill(ADMIN.password);
  await next();
  await page.getByLabel("First group").fill("demo");
  await page.getByRole("button", { name: /Make the administrator/ }).click();

  step("the wizard leads through the settings: one is set, the page reloaded, one skipped, the rest left for later");
  await page.waitForURL(/\/claim\?step=url$/);
  await page.getByRole("button", { name: "Take that" }).click();
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText(/Links are made with it/).waitFor();
  await next();
  await page.waitForURL(/step=mail$/);
  await page.reload();
  await page.getByLabel("Host").waitFor();
  await next();
  await page.getByLabel("Lost at most the last").fill("10");
  await page.getByRole("button", { name: "Save the promise" }).click();
  await page.getByText(/The verdicts measure against it/).waitFor();
  await page.getByRole("button", { name: "Leave the rest for later" }).click();
  await page.waitForURL(/\/g\/demo/);

  // The first snapshot is under way meanwhile.
  const notes = await writeNotes(source);

  step("signed out and in again; a wrong password is refused, and one comes back to the page that was asked for");
  await page.getByRole("button", { name: /account of/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.waitForURL(/\/signin/);
  await page.goto(`${url}/g/demo/backups`);
  await page.waitForURL(/\/signin\?next=/);
  await signIn(page, { ...ADMIN, password: "not this one at all" });
  await page.getByRole("alert").waitFor();
  await signIn(page, ADMIN);
  await page.waitForURL(/\/g\/demo\/backups$/);

  step("the overview says that the deployment is protected");
  await page.goto(`${url}/g/demo`);
  await page
    .getByText(/Protected and proved|^Protected$/)
    .first()
    .waitFor({ timeout: PROTECTED_MS_MAX });
  await page.getByText("demo is protected").waitFor();

  step("the timeline grows by itself");
  await page.goto(`${url}/g/demo/backups/demo?span=900`);
  await settled(page);
  const latest = () => page.getByRole("button", { name: /^Latest:/ }).innerText();
  const before = await latest();
  await until("a later second can be restored", 60_000, async () => (await latest()) !== before);
  assert.ok(await page.getByTestId("timeline").isVisible());

  step("a second is chosen by keyboard and by drag, and stands in the address");
  const line = page.getByTestId("timeline");
  await line.focus();
  await page.keyboard.press("End");
  await page.waitForURL((u) => chosen(u) > 0);
  const end = chosen(page.url());
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL((u) => chosen(u) === end - 1);
  const box = await line.boundingBox();
  await page.mouse.move(box.x + box.width * 0.6, box.y + 60);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 60, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL((u) => chosen(u) > 0 && chosen(u) !== end - 1);

  step("the cut shows what stands before and after; a second that cannot be restored is answered");
  const backup = (await api(page, "/groups/demo/backups/demo")).body;
  const at = Math.max(backup.ranges.at(-1).to.t - 5, backup.ranges.at(-1).from.t + 1);
  await page.goto(`${url}/g/demo/backups/demo?span=120&from=${at - 60}&at=${at}`);
  await page.getByText("Can be restored").waitFor();
  await page
    .getByRole("button", { name: /Just before this/ })
    .first()
    .waitFor();
  await page.goto(`${url}/g/demo/backups/demo/restore?at=${at - 400_000_000}`);
  await page.getByText(/cannot be restored/).waitFor();
  await page.getByRole("button", { name: /Nearest after/ }).click();
  await page.getByText("Can be restored").waitFor();

  const mistake = await makeMistake(source);
  const restore = await restoreBeforeIt({ page, appliance, mistake, notes });

  step("a snapshot is taken with a label, and pinned");
  await page.goto(`${url}/g/demo/backups/demo?tab=snapshots`);
  await page.getByRole("button", { name: "Take a snapshot now" }).click();
  await page.getByLabel("Label").fill("before the migration");
  await page.getByLabel(/Pin it/).check();
  await page.getByRole("button", { name: "Take it" }).click();
  await page.getByText("before the migration").first().waitFor({ timeout: RESTORE_MS_MAX });

  step("someone is invited, joins by the link, sees and may not restore");
  await page.goto(`${url}/g/demo/people`);
  await page.getByRole("button", { name: "Invite someone" }).click();
  await page.getByLabel("E-mail").fill(GUEST.email);
  await page.getByRole("button", { name: "Invite", exact: true }).click();
  const invitation = (await page.getByLabel("Link of the invitation", { exact: true }).innerText()).trim();
  const guest = second.page;
  await guest.goto(invitation);
  await guest.getByLabel("Your name").fill(GUEST.name);
  await guest.getByLabel("Choose a password").fill(GUEST.password);
  await guest.getByRole("button", { name: /^Join/ }).click();
  await guest.waitForURL(/\/g\/demo/);
  await guest.goto(`${url}/g/demo/backups/demo`);
  await settled(guest);
  assert.equal(await guest.getByRole("link", { name: "Restore…" }).count(), 0);
  const refused = await api(guest, "/groups/demo/backups/demo/restores", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ snapshot: "0".repeat(24) }),
  });
  assert.equal(refused.status, 403);

  step("a session that is ended elsewhere leads to the sign-in, and back");
  const third = await openBrowser();
  try {
    await third.page.goto(`${url}/signin`);
    await signIn(third.page, GUEST);
    await third.page.waitForURL(/\/g\/demo/);
    assert.equal((await api(third.page, "/account/sessions", { method: "DELETE" })).status, 204);
  } finally {
    await third.close();
  }
  await guest.waitForURL(/\/signin\?/, { timeout: 30_000 });
  await guest.getByText("Your session ended").waitFor();
  await signIn(guest, GUEST);
  await guest.waitForURL(/\/backups\/demo/);

  await serverDies({ page, appliance });
  await enrolByOneLine({ page, appliance });

  step("axe finds nothing on any page, light and dark");
  const deployment = (await api(page, "/groups/demo/deployments")).body[0].id;
  const snapshot = (await api(page, "/groups/demo/backups/demo/snapshots")).body.at(-1).id;
  const host = (await api(page, "/groups/demo/hosts")).body[0]?.id;
  const found = [];
  for (const [name, path] of [
    ["signin", "/signin"],
    ...pages({ group: GROUP, rs: SET, deployment, restore, at, snapshot, host }),
  ]) {
    await page.goto(url + path);
    await settled(page);
    for (const scheme of ["light", "dark"]) {
      await setScheme(page, scheme);
      for (const v of await violations(page)) found.push(`${name} (${scheme}): ${v.id}: ${v.nodes.join(" | ")}`);
    }
  }
  assert.deepEqual(found, []);
  assert.deepEqual(errors, []);
  console.log("the journey is complete");
} catch (error) {
  for (const [name, { page }] of Object.entries({ first, second })) {
    const file = join(tmpdir(), `holdfast-journey-${name}.png`);
    await page.screenshot({ path: file }).catch(() => undefined);
    console.error(`${name} stood at ${page.url()} (${file})`);
  }
  throw error;
} finally {
  await source.close();
  await first.close();
  await second.close();
  await appliance.stop();
}
