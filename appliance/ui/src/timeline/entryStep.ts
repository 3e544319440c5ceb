// Going by oplog entry: what the keyboard asks for with Alt, answered by what the server says stands around the chosen instant.
import { useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { cutQuery } from "../api/queries";
import { apiAt, neighbour, type Chosen } from "./instant";

/** A step from `start`; what cannot be restored has no entries, and the page says why once it is chosen. */
export function useEntryStep(group: string, rs: string, choose: (next: Chosen) => void) {
  const queries = useQueryClient();
  // One at a time: a key that is held down asks no faster than the server answers.
  const stepping = useRef(false);
  return async (start: Chosen | null, direction: 1 | -1) => {
    if (!start || stepping.current) return;
    stepping.current = true;
    try {
      const next = neighbour(await queries.fetchQuery(cutQuery(group, rs, apiAt(start))), direction);
      if (next) choose(next);
    } catch {
      choose(start);
    } finally {
      stepping.current = false;
    }
  };
}
