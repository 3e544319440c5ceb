// Everything live: the server says over one stream of events that something of a group, or of the appliance, changed, and what is shown is
// asked for anew. One stream at a time: browsers open few connections to one server.
//
// Where the stream cannot be had (an old proxy, a restart) the pages poll; nothing ever needs a manual reload.
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

/** Changes that come together cost one round of requests. */
const GATHER_MS = 400;
/** How often a page asks by itself, with the stream and without it. */
const POLL_LIVE_MS = 10_000;
const POLL_ALONE_MS = 3_000;

let live = false;
const listeners = new Set<() => void>();

function set(next: boolean): void {
  if (live === next) return;
  live = next;
  for (const each of listeners) each();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** True while the stream of events is open. */
export const useIsLive = () => useSyncExternalStore(subscribe, () => live);

/** How often queries of live data ask again, in milliseconds. */
export const pollMs = () => (live ? POLL_LIVE_MS : POLL_ALONE_MS);

/** What pages of the appliance read, by the kind of what changed. */
const OF_APPLIANCE: Record<string, readonly string[]> = {
  backup: ["jobs", "group"],
  restore: ["jobs", "restore"],
  agent: [],
  deployment: [],
  people: ["groups"],
  key: ["apiKeys"],
  audit: ["audit"],
  group: ["groups"],
  user: ["users"],
  daemon: ["daemons", "jobs"],
  setting: ["settings", "setup"],
  blockstore: ["blockstore", "jobs"],
  offsite: ["offsite", "jobs"],
};
/** What no event tells of, and what events renew only by themselves. */
const APART: readonly unknown[] = ["session", "account", "invitation"];

/** Whether a change of this kind renews a query of the appliance, named by the first part of its key. */
export function renews(kind: string, first: unknown): boolean {
  if (kind === "reload" || !(kind in OF_APPLIANCE)) return !APART.includes(first);
  return OF_APPLIANCE[kind]!.includes(first as string);
}

/** Listens to the events of a group, or of the whole appliance (`null`), and renews what is shown of it. */
export function useEvents(of: string | null | undefined): void {
  const queries = useQueryClient();
  useEffect(() => {
    if (of === undefined) return;
    const path = of === null ? "/api/v1/events" : `/api/v1/groups/${encodeURIComponent(of)}/events`;
    const source = new EventSource(path);
    let timer: number | undefined;
    let kinds = new Set<string>();
    const renew = () => {
      timer = undefined;
      const told = [...kinds];
      kinds = new Set();
      if (of === null) {
        void queries.invalidateQueries({ predicate: ({ queryKey }) => told.some((kind) => renews(kind, queryKey[0])) });
      } else void queries.invalidateQueries({ queryKey: ["group", of] });
    };
    const changed = (event: MessageEvent<string>) => {
      kinds.add(kindOf(event.data));
      timer ??= window.setTimeout(renew, GATHER_MS);
    };
    source.onopen = () => set(true);
    source.addEventListener("change", changed);
    source.onerror = () => set(false);
    return () => {
      set(false);
      window.clearTimeout(timer);
      source.close();
    };
  }, [of, queries]);
}

function kindOf(data: string): string {
  try {
    return String((JSON.parse(data) as { kind?: unknown }).kind ?? "reload");
  } catch {
    return "reload";
  }
}
