// Measurements as charts: which metrics are drawn together, and what each line looks like.
import type { HostEvent, Measurements, Metric } from "../api/monitoring";
import type { ChartMark, Series } from "../components/Chart";
import { secondsOf } from "../lib/time";

/** Metrics of one chart, in the order of the table. */
export interface ChartOf {
  title: string;
  unit: string;
  metrics: Metric[];
}

/** The charts of some metrics, in the order of the table. */
export function chartsOf(metrics: Metric[]): ChartOf[] {
  const charts = new Map<string, ChartOf>();
  for (const metric of metrics) {
    const chart = charts.get(metric.chart) ?? { title: metric.chart, unit: metric.unit, metrics: [] };
    chart.metrics.push(metric);
    charts.set(metric.chart, chart);
  }
  return [...charts.values()];
}

/** Colour is scarce: lines are told apart by dashes first. */
const STYLES: { color: string; dash?: number[] }[] = [
  { color: "--hf-band" },
  { color: "--hf-ink", dash: [6, 4] },
  { color: "--hf-dim", dash: [2, 3] },
  { color: "--hf-band", dash: [10, 4, 2, 4] },
  { color: "--hf-ink", dash: [1, 4] },
  { color: "--hf-dim" },
  { color: "--hf-band", dash: [4, 8] },
  { color: "--hf-ink", dash: [12, 3] },
];

/** `OPCOUNTER_CMD` among `OPCOUNTER_…` is told as `cmd`. */
export function labelsOf(names: string[]): string[] {
  const parts = names.map((name) => name.split("_"));
  const first = parts[0] ?? [];
  let shared = 0;
  while (
    names.length > 1 &&
    shared < Math.min(...parts.map((p) => p.length)) - 1 &&
    parts.every((p) => p[shared] === first[shared])
  ) {
    shared += 1;
  }
  return parts.map((p) => p.slice(shared).join(" ").toLowerCase());
}

/** Starts of the windows. */
export const timesOf = ({ start, stepSeconds, windows }: Measurements): number[] =>
  Array.from({ length: windows }, (_, n) => start + n * stepSeconds);

/** The lines of a chart; null where nothing was measured. */
export function seriesOf(chart: ChartOf, measured: Measurements): Series[] {
  const labels = labelsOf(chart.metrics.map((m) => m.name));
  return chart.metrics.map((metric, n) => {
    const found = measured.measurements.find((m) => m.name === metric.name);
    const style = STYLES[n % STYLES.length]!;
    return {
      label: labels[n]!,
      values: (found?.mean ?? []).map((value) => value ?? null),
      ...style,
    };
  });
}

/** True when a chart has a value to show. */
export const isKnown = (series: Series[]): boolean => series.some((s) => s.values.some((value) => value !== null));

const KINDS: Record<string, { sign: string; word: string }> = {
  restarted: { sign: "R", word: "restarted" },
  becamePrimary: { sign: "P", word: "became primary" },
  becameSecondary: { sign: "S", word: "became secondary" },
  down: { sign: "↓", word: "stopped answering" },
  up: { sign: "↑", word: "answers again" },
  appeared: { sign: "+", word: "was found" },
  vanished: { sign: "−", word: "is gone" },
};

/** Events as marks in charts. */
export function marksOf(events: HostEvent[], snapshots: { at: string }[]): ChartMark[] {
  const happened = events.flatMap((event) => {
    const at = secondsOf(event.at);
    const kind = KINDS[event.kind];
    return at === null || !kind ? [] : [{ at, ...kind }];
  });
  const backups = snapshots.flatMap((snapshot) => {
    const at = secondsOf(snapshot.at);
    return at === null ? [] : [{ at, sign: "B", word: "snapshot" }];
  });
  return [...happened, ...backups].sort((a, b) => a.at - b.at);
}

/** A chart as a table for other programs. Nothing stands where nothing was measured. */
export function csvOf(times: number[], names: string[], series: Series[]): string {
  const row = (cells: string[]) => cells.join(",");
  const lines = times.map((at, n) =>
    row([new Date(at * 1000).toISOString(), ...series.map((s) => String(s.values[n] ?? ""))]),
  );
  return [row(["time", ...names]), ...lines].join("\r\n") + "\r\n";
}
