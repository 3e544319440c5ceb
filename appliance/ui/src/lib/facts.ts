// What work found and did, as words: the results of requests differ by kind, and say in their names what they are.

import { bytes, count, sentence, words } from "./format";

/** What a request found, as words: amounts are {blocks, rawBytes, storedBytes}, the rest numbers, texts and times. */
export function facts(result: Record<string, unknown>): [string, string][] {
  const one = ([name, value]: [string, unknown]): [string, string][] => {
    const label = sentence(words(name));
    if (typeof value === "number") {
      const isBytes = /bytes$/i.test(name);
      return [[isBytes ? label.replace(/ ?bytes$/i, "") || "Bytes" : label, isBytes ? bytes(value) : count(value)]];
    }
    if (typeof value === "string") return [[label, value]];
    if (typeof value === "boolean") return [[label, value ? "yes" : "no"]];
    if (Array.isArray(value)) return [[label, count(value.length)]];
    if (value && typeof value === "object") {
      const amount = value as Record<string, unknown>;
      if (typeof amount["storedBytes"] === "number") return [[label, bytes(amount["storedBytes"])]];
      return facts(amount).map(([inner, text]) => [`${label}: ${inner.toLowerCase()}`, text]);
    }
    return [];
  };
  return Object.entries(result).flatMap(one);
}
