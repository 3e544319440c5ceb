// What changes something is asked for again when the connection breaks or an instance goes away: by a key that makes it once.
//
// The server keeps the answer of a key for a day; the same request by the same key gets that answer and makes nothing twice. Reading needs
// no key, and is asked for again by the queries themselves.

/** The header that names one act of a person, however often it is sent. */
export const KEY = "Idempotency-Key";
/** Pauses between the attempts, in milliseconds: ten seconds together, as long as another instance needs to take over. */
const PAUSES_MS = [300, 700, 1_500, 2_500, 5_000];
const AWAY = new Set([502, 503, 504]);

const changes = (request: Request) => !["GET", "HEAD"].includes(request.method);

/** A key that no other act has; `crypto.randomUUID` is not there on plain HTTP. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** How long to wait before the same request is sent again; null: its answer stands. */
export function pauseAfter(answer: Response | null, attempt: number): number | null {
  const pause = PAUSES_MS[attempt];
  if (pause === undefined) return null;
  if (answer === null) return pause;
  // Another attempt of ours is still being carried out: the server says when to ask for its answer.
  const underWay = answer.status === 409 && answer.headers.has("Retry-After");
  if (!AWAY.has(answer.status) && !underWay) return null;
  const seconds = Number(answer.headers.get("Retry-After"));
  return Number.isFinite(seconds) && seconds > 0 ? Math.max(pause, Math.min(seconds, 5) * 1_000) : pause;
}

/** Sends a request, and what changes something again until it is answered. Throws what the last attempt threw. */
export async function sendOnce(
  request: Request,
  send: (request: Request) => Promise<Response> = fetch,
  wait: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
): Promise<Response> {
  if (!changes(request)) return send(request);
  if (!request.headers.has(KEY)) request.headers.set(KEY, newKey());
  for (let attempt = 0; ; attempt++) {
    let answer: Response | null = null;
    let thrown: unknown;
    try {
      answer = await send(request.clone());
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      thrown = error;
    }
    const pause = pauseAfter(answer, attempt);
    if (pause !== null) {
      await wait(pause);
      continue;
    }
    if (answer) return answer;
    throw thrown;
  }
}
