// The drawing of a chart, by uPlot. Only `Chart` imports this file, when it is needed.
import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useZone } from "../app/zone";
import { wallClock } from "../lib/time";
import type { ChartProps } from "./Chart";

const AXIS_PIXELS = 76;

export function Plot({ times, series, format, cursor, height }: ChartProps & { height: number }) {
  const { ref, width } = useElementSize<HTMLDivElement>();
  const { zone } = useZone();
  const scheme = useComputedColorScheme("light");
  const plot = useRef<UPlot | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const shape = series.map((s) => s.label).join("|");

  // Made anew when what it looks like changes; new values alone are handed over below.
  useEffect(() => {
    const element = box.current;
    if (!element || width < 50) return;
    const style = getComputedStyle(element);
    const color = (name: string) => style.getPropertyValue(name).trim() || "gray";
    const axis = {
      stroke: color("--hf-dim"),
      grid: { stroke: color("--hf-line"), width: 1 },
      ticks: { stroke: color("--hf-line"), width: 1 },
      font: `12px ${style.fontFamily}`,
    };
    const made = new UPlot(
      {
        width,
        height,
        tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), zone),
        cursor: { sync: { key: cursor }, drag: { x: false, y: false } },
        scales: { x: { time: true }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] } },
        axes: [
          { ...axis, values: (self, ticks) => ticks.map((t) => tickLabel(t, zone, spanOf(self))) },
          { ...axis, size: AXIS_PIXELS, values: (_, ticks) => ticks.map((t) => format(t)) },
        ],
        series: [
          {
            label: "At",
            // Without a cursor the legend tells of the last point.
            value: (self, at, _, index) => wallClock(index === null ? (self.data[0].at(-1) ?? 0) : at, zone),
          },
          ...series.map((s) => ({
            label: s.label,
            stroke: color(s.color),
            width: 2,
            spanGaps: false,
            points: { show: times.length < 40 },
            ...(s.dash ? { dash: s.dash } : {}),
            value: (self: UPlot, value: number | null, line: number, index: number | null) => {
              const shown = index === null ? self.data[line]?.at(-1) : value;
              return shown === null || shown === undefined ? "not known" : format(shown);
            },
          })),
        ],
      },
      [times, ...series.map((s) => s.values)],
      element,
    );
    plot.current = made;
    return () => {
      plot.current = null;
      made.destroy();
    };
    // eslint-disable-next-line react-hooks/exhaustive-deps -- values are handed over by the next effect
  }, [width, height, zone, scheme, cursor, shape]);

  useEffect(() => {
    plot.current?.setData([times, ...series.map((s) => s.values)]);
  }, [times, series]);

  return (
    <div ref={ref} style={{ width: "100%" }}>
      <div ref={box} />
    </div>
  );
}

const spanOf = (plot: UPlot) => (plot.scales["x"]?.max ?? 0) - (plot.scales["x"]?.min ?? 0);

/** Date where days are shown, clock where hours are. */
function tickLabel(seconds: number, zone: string, span: number): string {
  const text = wallClock(seconds, zone);
  return span > 3 * 86_400 ? text.slice(5, 10) : text.slice(11, 16);
}
