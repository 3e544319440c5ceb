// Everything live: the server says over one stream of events that something of a group changed, and what is shown is asked for anew.
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

/** Listens to a group's events and renews what is shown of it. */
export function useGroupEvents(group: string | undefined): void {
  const queries = useQueryClient();
  useEffect(() => {
    if (!group) return;
    const source = new EventSource(`/api/v1/groups/${encodeURIComponent(group)}/events`);
    let timer: number | undefined;
    const changed = () => {
      timer ??= window.setTimeout(() => {
        timer = undefined;
        void queries.invalidateQueries({ queryKey: ["group", group] });
      }, GATHER_MS);
    };
    source.onopen = () => set(true);
    source.addEventListener("change", changed);
    source.onerror = () => set(false);
    return () => {
      set(false);
      window.clearTimeout(timer);
      source.close();
    };
  }, [group, queries]);
}
