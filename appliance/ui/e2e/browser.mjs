// A real Chromium, driven by playwright-core, with axe for accessibility. Shared by the end-to-end test and the screenshots.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** A loaded machine is slow; a page that needs longer is broken. */
const PAGE_MS_MAX = 60_000;

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const DESKTOP = { width: 1360, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** A browser with an empty profile; `close` ends it and removes the profile. */
export async function openBrowser() {
  const profile = await mkdtemp(join(tmpdir(), "holdfast-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: FLAGS,
    ignoreHTTPSErrors: true,
    acceptDownloads: true,
    bypassCSP: false,
    viewport: DESKTOP,
    // Colours that fade would be measured halfway.
    reducedMotion: "reduce",
  });
  context.setDefaultTimeout(PAGE_MS_MAX);
  const page = context.pages()[0] ?? (await context.newPage());
  const close = async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { context, page, close };
}

/** Waits until a page shows its data: a heading, and nothing that still loads. */
export async function settled(page) {
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => !document.querySelector(".mantine-Loader-root"), undefined, {
    timeout: PAGE_MS_MAX,
  });
  await page.waitForTimeout(350);
}

export async function setScheme(page, scheme) {
  await page.evaluate((value) => {
    localStorage.setItem("mantine-color-scheme-value", value);
    document.documentElement.setAttribute("data-mantine-color-scheme", value);
  }, scheme);
}

/** Violations that axe finds on the page as it is. */
export async function violations(page) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await window.axe.run(document, { resultTypes: ["violations"] });
    return result.violations.map((v) => ({
      id: v.id,
      help: v.help,
      nodes: v.nodes.slice(0, 4).map(
        (n) =>
          `${n.html.slice(0, 160)} :: ${n.any
            .map((a) => a.message)
            .join("; ")
            .slice(0, 160)}`,
      ),
    }));
  });
  return found;
}
