// The typed client of /api/v1. Sign-in is by cookie; this file is the only one that knows how a request is made.
//
// Every answer that is no success becomes a Problem with the server's own words. A 401 outside of signing in tells the session to ask again.

import createClient from "openapi-fetch";
import { sendOnce } from "./again";
import type { paths } from "./schema";

export interface ProblemBody {
  status: number;
  code: string;
  title: string;
  detail: string;
  requestId: string;
}

export class Problem extends Error {
  constructor(readonly body: ProblemBody) {
    super(body.detail || body.title);
    this.name = "Problem";
  }
  get code(): string {
    return this.body.code;
  }
  get status(): number {
    return this.body.status;
  }
}

/** Heard by the session: the server no longer knows this browser. */
export const signedOut = new EventTarget();

/** Heard by the session: nothing but the account works until a second factor is set up. */
export const enrolment = new EventTarget();

/** Asks the person to prove again who they are; set by the frame. True: done, the request may be made again. */
let prove: (() => Promise<boolean>) | null = null;
export function onReauthentication(ask: (() => Promise<boolean>) | null): void {
  prove = ask;
}

const offline = (error: unknown): Problem =>
  new Problem({
    status: 0,
    code: "unreachable",
    title: "The appliance does not answer",
    detail: "The appliance does not answer. What you see may be old; this page tries again by itself.",
    requestId: error instanceof Error ? error.message : "",
  });

async function send(request: Request): Promise<Response> {
  const again = request.clone();
  let response: Response;
  try {
    response = await sendOnce(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw offline(error);
  }
  if (response.ok) return request.method === "GET" ? allPages(request, response) : response;
  let body: Partial<ProblemBody> = {};
  if (response.headers.get("content-type")?.includes("json")) {
    body = ((await response.json().catch(() => ({}))) as Partial<ProblemBody> | null) ?? {};
  }
  if (body.code === "reauthenticationRequired" && prove && (await prove())) return send(again);
  if (body.code === "totpEnrolmentRequired") enrolment.dispatchEvent(new Event("required"));
  if (response.status === 401 && !SIGNING_IN.test(new URL(request.url).pathname)) {
    signedOut.dispatchEvent(new Event("signedOut"));
  }
  throw new Problem({
    status: response.status,
    code: body.code ?? `http${response.status}`,
    title: body.title ?? "The request failed",
    detail: body.detail ?? `The server answered ${response.status}.`,
    requestId: body.requestId ?? response.headers.get("x-request-id") ?? "",
  });
}

/** Pages of one list at most. */
const PAGES_MAX = 40;

/** The next page that a `Link` header names. */
export function nextPage(of: string, link: string | null): string | null {
  const found = /^<([^>]*)>;\s*rel="next"/.exec(link ?? "");
  if (!found) return null;
  const [next, from] = [new URL(found[1]!, of), new URL(of)];
  return next.origin === from.origin && next.pathname === from.pathname ? next.href : null;
}

/** A list that the server answers page by page, as a whole. */
async function allPages(request: Request, first: Response): Promise<Response> {
  let next = nextPage(request.url, first.headers.get("Link"));
  if (!next) return first;
  const all = (await first.json()) as unknown[];
  for (let page = 1; next && page < PAGES_MAX; page++) {
    const answer = await fetch(new Request(next, { headers: request.headers, signal: request.signal }));
    if (!answer.ok) return answer;
    all.push(...((await answer.json()) as unknown[]));
    next = nextPage(next, answer.headers.get("Link"));
  }
  return new Response(JSON.stringify(all), { status: 200, headers: { "Content-Type": "application/json" } });
}

/** Here a 401 is an answer to what was typed, and no news of the session. */
const SIGNING_IN = /\/(sessions|sessions\/current|sessions\/current\/verify|sign-ins\/oidc\/finish|sign-ins\/code)$/;

export const client = createClient<paths>({ baseUrl: "/api/v1", credentials: "same-origin", fetch: send });

/** The revision that an answer carries: what its reader has seen. */
export function revisionOf(response: Response): number | undefined {
  const tag = /^(?:W\/)?"(\d+)"$/.exec(response.headers.get("ETag") ?? "");
  return tag ? Number(tag[1]) : undefined;
}

/** For a change: it is made only if nobody made another since this revision was read. */
export const ifSeen = (revision: number | undefined): { headers?: Record<string, string> } =>
  revision === undefined ? {} : { headers: { "If-Match": `"${revision}"` } };

/** What was read, with its revision. */
export interface Tagged<T> {
  value: T;
  revision: number | undefined;
}

/** The data of an answer with its revision. */
export async function tagged<T>(answer: Promise<{ data?: T; response: Response }>): Promise<Tagged<T>> {
  const { data: value, response } = await answer;
  return { value: value as T, revision: revisionOf(response) };
}

/** The data of an answer; errors were thrown on the way. */
export async function data<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}
