// The parts of a retention and the distances of a schedule, as forms name them.
import type { Retention } from "../api/queries";
import { duration } from "../lib/time";

export type Kept = Required<Retention>;

export const KEPT: readonly { key: keyof Kept; label: string; unit: string; max: number }[] = [
  { key: "oplogWindowDays", label: "Any second of the last", unit: "days", max: 3650 },
  { key: "recentHours", label: "Every snapshot of the last", unit: "hours", max: 87_600 },
  { key: "sixHourlyDays", label: "One per 6 hours for", unit: "days", max: 3650 },
  { key: "dailyDays", label: "One per day for", unit: "days", max: 3650 },
  { key: "weeklyWeeks", label: "One per week for", unit: "weeks", max: 520 },
  { key: "monthlyMonths", label: "One per month for", unit: "months", max: 120 },
];

const EVERY = [60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 7 * 86_400];

/** Distances of snapshots to choose from, with the one that is set. */
export const everyOptions = (set: number) =>
  [...new Set([...EVERY, set])]
    .sort((a, b) => a - b)
    .map((seconds) => ({ value: String(seconds), label: `every ${duration(seconds)}` }));
