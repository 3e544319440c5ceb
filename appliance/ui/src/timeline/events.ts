// Events as words and marks: commands and elections; where many lie close to each other the server gives them as one.

import type { Timeline } from "../api/queries";
import { counted } from "../lib/format";

export type Event = Timeline["events"][number];

/** What matters most first: of several marks on one spot the first of these is drawn. */
const ORDER: Event["kind"][] = ["drop", "election", "index", "command"];

/** The kind that is drawn for several events. */
export function worst(events: Pick<Event, "kind">[]): Event["kind"] {
  return ORDER.find((kind) => events.some((event) => event.kind === kind)) ?? "command";
}

const NAMES: Record<string, string> = { drop: "drop", index: "index change", command: "command", election: "election" };

/** An event in words. */
export function eventText(event: Pick<Event, "kind" | "count" | "command" | "ns">): string {
  if (event.count > 1) {
    const first = event.kind === "election" ? "" : `, the first: ${event.command} ${event.ns}`;
    return `${counted(event.count, NAMES[event.kind] ?? event.kind)}${first}`;
  }
  return event.kind === "election" ? "election: another primary" : `${event.command} ${event.ns}`;
}
