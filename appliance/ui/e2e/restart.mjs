// The server dies while someone looks at the timeline: what is shown stays, and goes on by itself when it is back.
import assert from "node:assert/strict";
import { until } from "./appliance.mjs";
import { settled } from "./browser.mjs";
import { GROUP, SET, step } from "./shared.mjs";

const BACK_MS_MAX = 60_000;

export async function serverDies({ page, appliance }) {
  step("the server is killed in mid-use: nothing is lost, the page goes on by itself");
  await page.goto(`${appliance.url}/g/${GROUP}/backups/${SET}?span=900`);
  await settled(page);
  await page.evaluate(() => (window.stays = true));
  const latest = () => page.getByRole("button", { name: /^Latest:/ }).innerText();
  const before = (await appliance.facts()).pids.web;
  process.kill(before, "SIGKILL");
  await until("another process serves", BACK_MS_MAX, async () => {
    const { pids } = await appliance.facts();
    return pids.web && pids.web !== before;
  });
  const then = await latest();
  await until("the timeline grows again", BACK_MS_MAX, async () => (await latest()) !== then);
  await page.getByText("● live").waitFor({ timeout: BACK_MS_MAX });
  assert.equal(await page.evaluate(() => window.stays), true, "the page was loaded again");
  assert.equal(await page.getByRole("alert").count(), 0);
  // And what one does then works: the session is in the database, not in the process.
  await page.getByRole("tab", { name: /^Snapshots/ }).click();
  await page.getByRole("button", { name: "Take a snapshot now" }).waitFor();
}
