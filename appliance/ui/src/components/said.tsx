// Short news of what was done: "Saved." Shown for some seconds and read aloud; never the only place where something is said.
import { useSyncExternalStore } from "react";

const SHOWN_MS = 6_000;
let text = "";
let timer: number | undefined;
const listeners = new Set<() => void>();

function set(next: string): void {
  text = next;
  for (const each of listeners) each();
}

/** Says it. */
export function say(message: string): void {
  window.clearTimeout(timer);
  set(message);
  timer = window.setTimeout(() => set(""), SHOWN_MS);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Said() {
  const shown = useSyncExternalStore(subscribe, () => text);
  return (
    <div role="status" aria-live="polite" className={shown ? "hf-said" : "hf-hidden"}>
      {shown}
    </div>
  );
}
