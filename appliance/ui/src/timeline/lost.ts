// What a restore would leave out, by namespace, in words.
import { count } from "../lib/format";

export interface Lost {
  ns: string;
  inserts: number;
  updates: number;
  deletes: number;
  ddl: number;
}

/** "shop.orders: 2 deleted, 1 inserted". */
export function lost(of: Lost): string {
  const parts: [number, string][] = [
    [of.deletes, "deleted"],
    [of.updates, "changed"],
    [of.inserts, "inserted"],
    [of.ddl, of.ddl === 1 ? "command" : "commands"],
  ];
  const told = parts.filter(([n]) => n > 0).map(([n, word]) => `${count(n)} ${word}`);
  return `${of.ns === "*" ? "other namespaces" : of.ns}: ${told.join(", ")}`;
}
