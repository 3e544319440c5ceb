// Photographs every page at desktop and phone width, light and dark. Usage: node e2e/screenshots.mjs URL FOLDER [name...]
//
// The server must be claimed, with a backup that has a snapshot; scripts/screenshots starts one with the demo. HOLDFAST_EMAIL and
// HOLDFAST_PASSWORD sign in.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DESKTOP, openBrowser, PHONE, setScheme, settled, violations } from "./browser.mjs";
import { pages } from "./pages.mjs";

const [, , url, folder, ...only] = process.argv;
if (!url || !folder) {
  console.error("usage: node e2e/screenshots.mjs URL FOLDER [name...]");
  process.exit(2);
}
await mkdir(folder, { recursive: true });
const { page, close } = await openBrowser();
let bad = 0;
page.on("pageerror", (error) => {
  bad += 1;
  console.error(`error on ${page.url()}: ${error.message}`);
});
page.on("console", (message) => {
  if (message.type() === "error") console.error(`console on ${page.url()}: ${message.text()}`);
});

const get = (path) =>
  page.evaluate(async (p) => {
    const answer = await fetch(`/api/v1${p}`);
    return answer.ok ? answer.json() : null;
  }, path);

async function shoot(name, path) {
  for (const [width, viewport] of [
    ["desktop", DESKTOP],
    ["phone", PHONE],
  ]) {
    await page.setViewportSize(viewport);
    await page.goto(url + path);
    await settled(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (wide > 1) {
      bad += 1;
      console.error(`${name} (${width}): ${wide} px wider than the screen`);
    }
    for (const scheme of ["light", "dark"]) {
      await setScheme(page, scheme);
      for (const v of await violations(page)) {
        bad += 1;
        console.error(`axe: ${name} (${width}, ${scheme}): ${v.id}: ${v.help}\n    ${v.nodes.join("\n    ")}`);
      }
      await page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`), fullPage: true });
    }
  }
}

try {
  await page.goto(`${url}/signin`);
  await settled(page);
  if (only.length === 0 || only.includes("signin")) await shoot("signin", "/signin");
  const { HOLDFAST_EMAIL: email, HOLDFAST_PASSWORD: password } = process.env;
  if (email && password) {
    await page.goto(`${url}/signin`);
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(/\/g\//);
  }
  const group = (await get("/groups"))[0].name;
  const [deployment] = await get(`/groups/${group}/deployments`);
  const { rs } = deployment;
  const [backup, snapshots, restores] = await Promise.all(
    ["", "/snapshots", "/restores"].map((part) => get(`/groups/${group}/backups/${rs}${part}`)),
  );
  const facts = {
    group,
    rs,
    deployment: deployment.id,
    restore: restores[0]?.id,
    at: backup.ranges.at(-1).to.t - 20,
    snapshot: snapshots.at(-1).id,
  };
  for (const [name, path] of pages(facts)) {
    if (only.length && !only.includes(name)) continue;
    await shoot(name, path);
  }
} finally {
  await close();
}
console.log(`${folder}: done, ${bad} findings`);
process.exit(bad ? 1 : 0);
