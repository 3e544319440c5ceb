// Instants as people read and write them. An instant is seconds since 1970 (UTC); a zone is an IANA name. Nothing here knows React.

/** Seconds since 1970 of an RFC 3339 text; null when it is none. */
export function secondsOf(text: string | null | undefined): number | null {
  if (!text) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms / 1000;
}

/** The viewer's own zone. */
export function browserZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** True for a name that this browser can compute with. */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

const formats = new Map<string, Intl.DateTimeFormat>();
function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = zone + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
    formats.set(key, found);
  }
  return found;
}

export interface Fields {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

/** The wall clock's fields in a zone. */
export function fieldsOf(seconds: number, zone: string): Fields {
  const parts = format(zone, {
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).formatToParts(seconds * 1000);
  const of = (type: string) => Number(parts.find((p) => p.type === type)?.value ?? 0);
  return {
    year: of("year"),
    month: of("month"),
    day: of("day"),
    hour: of("hour"),
    minute: of("minute"),
    second: of("second"),
  };
}

/** Seconds that a zone is ahead of UTC at an instant. */
export function offsetOf(seconds: number, zone: string): number {
  const f = fieldsOf(Math.floor(seconds), zone);
  return Date.UTC(f.year, f.month - 1, f.day, f.hour, f.minute, f.second) / 1000 - Math.floor(seconds);
}

/** Short name of a zone at an instant, such as CET or GMT+5:30. */
export function zoneName(seconds: number, zone: string): string {
  const parts = format(zone, { timeZoneName: "short" }).formatToParts(seconds * 1000);
  return parts.find((p) => p.type === "timeZoneName")?.value ?? zone;
}

const two = (n: number) => String(n).padStart(2, "0");

/** 2026-11-22 23:08:12 in a zone, without its name. */
export function wallClock(seconds: number, zone: string): string {
  const f = fieldsOf(Math.floor(seconds), zone);
  return `${f.year}-${two(f.month)}-${two(f.day)} ${two(f.hour)}:${two(f.minute)}:${two(f.second)}`;
}

/** 2026-11-22T23:08:12Z. */
export function utc(seconds: number): string {
  return new Date(Math.floor(seconds) * 1000).toISOString().replace(".000Z", "Z");
}

/** With the zone: 22 Nov 2026, 23:08:12 CET; the day is left out when it is today. */
export function shown(seconds: number, zone: string, now: number): string {
  const whole = Math.floor(seconds);
  const a = fieldsOf(whole, zone);
  const b = fieldsOf(now, zone);
  const clock = `${two(a.hour)}:${two(a.minute)}:${two(a.second)}`;
  const name = zoneName(whole, zone);
  if (a.year === b.year && a.month === b.month && a.day === b.day) return `${clock} ${name}`;
  const day = format(zone, { day: "numeric", month: "short", ...(a.year === b.year ? {} : { year: "numeric" }) });
  return `${day.format(whole * 1000)}, ${clock} ${name}`;
}

/** A length of time: 3.2 s, 4 min 10 s, 2 h 5 min, 3 days 4 h. */
export function duration(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 10) return `${Math.round(s * 10) / 10} s`;
  if (s < 60) return `${Math.round(s)} s`;
  const whole = Math.round(s);
  if (whole < 3600) {
    const rest = whole % 60;
    return rest && whole < 600 ? `${Math.floor(whole / 60)} min ${rest} s` : `${Math.floor(whole / 60)} min`;
  }
  if (whole < 86_400) {
    const minutes = Math.floor((whole % 3600) / 60);
    return minutes ? `${Math.floor(whole / 3600)} h ${minutes} min` : `${Math.floor(whole / 3600)} h`;
  }
  const days = Math.floor(whole / 86_400);
  const hours = Math.floor((whole % 86_400) / 3600);
  const word = days === 1 ? "day" : "days";
  return hours && days < 10 ? `${days} ${word} ${hours} h` : `${days} ${word}`;
}

/** "4 s ago", "in 3 h". */
export function relative(seconds: number, now: number): string {
  const age = now - seconds;
  if (Math.abs(age) < 1) return "now";
  const length = duration(Math.floor(Math.abs(age)));
  return age > 0 ? `${length} ago` : `in ${length}`;
}

/** Every instant that a wall clock in a zone shows as these fields: none in the hour skipped in spring, two in the hour repeated in autumn. */
export function instantsOf(f: Fields, zone: string): number[] {
  const naive = Date.UTC(f.year, f.month - 1, f.day, f.hour, f.minute, f.second) / 1000;
  const found = new Set<number>();
  for (const guess of [naive - 86_400, naive, naive + 86_400]) {
    const at = naive - offsetOf(guess, zone);
    if (naive - offsetOf(at, zone) === at) found.add(at);
  }
  return [...found].sort((a, b) => a - b);
}

export type Typed =
  | { kind: "second"; seconds: number; other?: number }
  | { kind: "optime"; t: number; i: number }
  | { kind: "error"; message: string };

const ISO = /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?$/i;

/** Reads what someone typed: a wall clock of `zone`, RFC 3339, seconds since 1970, or an optime `SECONDS,INCREMENT`. */
export function parseTyped(text: string, zone: string): Typed {
  const trimmed = text.trim();
  const optime = /^(?:Timestamp\()?(\d{9,10})\s*[,:]\s*(\d{1,10})\)?$/.exec(trimmed);
  if (optime) return { kind: "optime", t: Number(optime[1]), i: Number(optime[2]) };
  if (/^\d{9,10}$/.test(trimmed)) return { kind: "second", seconds: Number(trimmed) };
  const match = ISO.exec(trimmed);
  if (!match) {
    return { kind: "error", message: "Write 2026-11-22 14:03:07, RFC 3339, seconds since 1970, or SECONDS,INCREMENT" };
  }
  const [year, month, day, hour, minute] = match.slice(1, 6).map(Number) as [number, number, number, number, number];
  const second = Number(match[6] ?? 0);
  const fields = { year, month, day, hour, minute, second };
  const naive = Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
  const back = fieldsOf(naive, "UTC");
  if (back.month !== month || back.day !== day || back.hour !== hour || back.minute !== minute) {
    return { kind: "error", message: "There is no such day or time" };
  }
  const offset = match[7];
  if (offset) {
    if (offset.toUpperCase() === "Z") return { kind: "second", seconds: naive };
    const sign = offset.startsWith("-") ? -1 : 1;
    const digits = offset.replace(/\D/g, "");
    const ahead = sign * (Number(digits.slice(0, 2)) * 3600 + Number(digits.slice(2)) * 60);
    return { kind: "second", seconds: naive - ahead };
  }
  const instants = instantsOf(fields, zone);
  const first = instants[0];
  if (first === undefined) {
    return { kind: "error", message: `The clocks of ${zone} skipped this time: choose one before or after` };
  }
  const second2 = instants[1];
  return second2 === undefined
    ? { kind: "second", seconds: first }
    : { kind: "second", seconds: first, other: second2 };
}
