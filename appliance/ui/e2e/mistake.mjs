// A collection is dropped at the source; the operator finds the drop, restores the moment before it, opens the download in a mongod of
// its own, and has every document back.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { until } from "./appliance.mjs";
import { settled } from "./browser.mjs";
import { connect, startMongod, sums } from "./mongo.mjs";
import { api, GROUP, RESTORE_MS_MAX, SET, step } from "./shared.mjs";

const DATABASE = "journey";
const NOTES = 500;
const ARRIVES_MS_MAX = 60_000;
const EXPIRED_MS_MAX = 60_000;

/** Documents that a mistake can take away. Returns the sums that they must have again. */
export async function writeNotes(source) {
  const notes = source.db(DATABASE).collection("notes");
  await notes.createIndex({ topic: 1 });
  await notes.insertMany(
    Array.from({ length: NOTES }, (_, n) => ({ _id: n, topic: `t${n % 7}`, text: "x".repeat(n) })),
  );
  await notes.updateMany({ topic: "t3" }, { $set: { changed: true } });
  await notes.deleteMany({ topic: "t5" });
  return sums(source, DATABASE);
}

/** The drop; returns the optime of its oplog entry. */
export async function makeMistake(source) {
  await source.db(DATABASE).command({ drop: "notes" }, { writeConcern: { w: "majority" } });
  const entry = await source
    .db("local")
    .collection("oplog.rs")
    .findOne({ op: "c", ns: `${DATABASE}.$cmd`, "o.drop": "notes" }, { sort: { $natural: -1 } });
  const ts = entry.ts;
  return { t: ts.getHighBitsUnsigned(), i: ts.getLowBitsUnsigned() };
}

/** Returns the id of the restore. */
export async function restoreBeforeIt({ page, appliance, mistake, notes }) {
  const { url, dir } = appliance;
  step("a collection was dropped: the entry is found, and the moment before it chosen");
  const ends = async () => (await api(page, `/groups/${GROUP}/backups/${SET}`)).body.ranges.at(-1).to.t;
  await until("the drop has arrived", ARRIVES_MS_MAX, async () => (await ends()) > mistake.t);
  await page.goto(`${url}/g/${GROUP}/backups/${SET}?span=120&from=${mistake.t - 60}&at=${mistake.t},${mistake.i}`);
  await page.getByRole("button", { name: `Just before this: drop ${DATABASE}.notes` }).click();
  await page.waitForURL((u) => !u.search.includes(encodeURIComponent(`${mistake.t},${mistake.i}`)));
  await page.getByRole("button", { name: `Up to here: drop ${DATABASE}.notes` }).waitFor();

  step("it is restored and downloaded, and the archive is whole");
  await page.getByRole("link", { name: "Restore this second…" }).click();
  await page.getByText("Entries to replay").waitFor();
  await page.getByLabel("Why").fill("the notes were dropped");
  await page.getByRole("button", { name: /^Prepare/ }).click();
  await page.waitForURL(/\/restores\/[0-9a-f]+$/);
  const restore = page.url().split("/").at(-1);
  await page.getByTestId("download").waitFor({ timeout: RESTORE_MS_MAX });
  const link = await page.getByTestId("download").getAttribute("href");
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId("download").click()]);
  const archive = join(dir, "restored.tar.zst");
  await download.saveAs(archive);
  assert.equal((await stat(archive)).size, (await api(page, `/restores/${restore}`)).body.bytes);

  step("a mongod opens it, and every document is back");
  const into = join(dir, "unpacked");
  await mkdir(into);
  execFileSync("tar", ["--use-compress-program=unzstd", "-xf", archive, "-C", into]);
  const mongod = await startMongod(into);
  try {
    assert.deepEqual(await sums(mongod.client, DATABASE), notes);
    const indexes = await mongod.client.db(DATABASE).collection("notes").indexes();
    assert.deepEqual(indexes.map((index) => index.name).sort(), ["_id_", "topic_1"]);
  } finally {
    await mongod.stop();
  }

  step("a link that is over says so, and so does its page");
  const appliances = await connect(appliance.database);
  try {
    const changed = await appliances
      .db("holdfast")
      .collection("restore_jobs")
      .updateOne({ _id: restore }, { $set: { expires: new Date(Date.now() - 1000) } });
    assert.equal(changed.modifiedCount, 1);
  } finally {
    await appliances.close();
  }
  await page.getByText("Its link no longer works").waitFor({ timeout: EXPIRED_MS_MAX });
  assert.equal(await page.getByTestId("download").count(), 0);
  const late = await page.context().newPage();
  const answer = await late.goto(link);
  assert.equal(answer.status(), 410);
  assert.match(await answer.text(), /this link has expired/);
  await late.close();
  await page.goto(`${url}/g/${GROUP}/restores`);
  await settled(page);
  await page.getByText("the notes were dropped").first().waitFor();
  return restore;
}
