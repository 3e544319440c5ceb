// What the steps of the journey share.

/** The demo's group and replica set. */
export const GROUP = "demo";
export const SET = "demo";
/** A restore on a loaded machine. */
export const RESTORE_MS_MAX = 180_000;

const begun = Date.now();

/** Says what is tried now, and how far the journey is in seconds. */
export const step = (text) =>
  console.log(`- ${String(Math.round((Date.now() - begun) / 1000)).padStart(3)} s  ${text}`);

/** A request of the page's own, with its session. */
export const api = (page, path, init) =>
  page.evaluate(
    async ([p, i]) => {
      const answer = await fetch(`/api/v1${p}`, i);
      const text = await answer.text();
      return { status: answer.status, body: text ? JSON.parse(text) : null };
    },
    [path, init],
  );

export const post = (page, path, body) =>
  api(page, path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** The second in an address; 0: none. The router writes a text that looks like a number in quotes. */
export const chosen = (url) => Number((new URL(url).searchParams.get("at") ?? "").replaceAll('"', "").split(",")[0]);
