// Windows of time of charts. A window is a length and an end; without an end it follows now.

const MINUTE = 60;
const HOUR = 3_600;
const DAY = 86_400;

export const SPANS = [
  { label: "10 min", value: 10 * MINUTE },
  { label: "1 h", value: HOUR },
  { label: "6 h", value: 6 * HOUR },
  { label: "1 day", value: DAY },
  { label: "1 week", value: 7 * DAY },
  { label: "30 days", value: 30 * DAY },
  { label: "1 year", value: 365 * DAY },
];
export const SPAN_DEFAULT = HOUR;
/** A minute: fewer seconds than that hold no six readings. */
export const SPAN_MIN = MINUTE;

export interface Span {
  span: number;
  /** Seconds since 1970; none: it follows now. */
  to?: number;
}

/** The window that was drawn over, never shorter than a minute. */
export function zoomed(from: number, to: number): Span {
  const span = Math.max(SPAN_MIN, Math.ceil(to - from));
  return { span, to: Math.ceil((from + to + span) / 2) };
}

/** The window beside it: -1 before, 1 after. One that would pass now follows it. */
export function beside({ span, to }: Span, step: -1 | 1, now: number): Span {
  const end = (to ?? Math.floor(now)) + step * span;
  return end >= now ? { span } : { span, to: end };
}
