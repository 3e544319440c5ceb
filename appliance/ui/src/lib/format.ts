// Numbers with units. Bytes are binary (KiB, MiB), as the command line prints them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** 1.4 MiB. */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined || !Number.isFinite(n)) return "unknown";
  let value = Math.abs(n);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${n < 0 ? "-" : ""}${value.toFixed(digits)} ${UNITS[unit]}`;
}

const grouped = new Intl.NumberFormat("en-GB");

/** 12,345. */
export function count(n: number): string {
  return grouped.format(Math.round(n));
}

/** A mean: 0.4, 7.5, 12,345. */
export function rateOf(n: number): string {
  return n >= 10 || Number.isInteger(n) ? count(n) : n.toFixed(1);
}

/** 1 snapshot, 2 snapshots. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** Done of a whole, in its unit. */
export function amount(n: number, unit: string): string {
  if (unit === "bytes") return bytes(n);
  return `${count(n)} ${unit}`;
}

/** `initialSync` as "initial sync". */
export function words(camel: string): string {
  return camel.replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);
}

/** First letter large. */
export function sentence(text: string): string {
  return text ? text[0]!.toUpperCase() + text.slice(1) : text;
}

/** Quotes a word for a POSIX shell when it needs it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
