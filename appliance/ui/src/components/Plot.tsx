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

export function Plot(props: ChartProps & { height: number }) {
  const { times, series, format, cursor, height, range, marks, onZoom } = props;
  const { ref, width } = useElementSize<HTMLDivElement>();
  const { zone } = useZone();
  const scheme = useComputedColorScheme("light");
  const plot = useRef<UPlot | null>(null);
  const box = useRef<HTMLDivElement>(null);
  const shape = series.map((s) => s.label).join("|");
  // What may change without the chart being made anew.
  const latest = useRef({ range, marks, onZoom });
  latest.current = { range, marks, onZoom };
  const zooms = onZoom !== undefined;

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
        cursor: { sync: { key: cursor }, drag: { x: zooms, y: false, setScale: false } },
        hooks: {
          setSelect: [(self) => select(self, latest.current.onZoom)],
          draw: [(self) => drawMarks(self, latest.current.marks ?? [], color("--hf-ink"))],
        },
        scales: {
          x: { time: true, range: (_, low, high) => latest.current.range ?? [low, high] },
          y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] },
        },
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
            points: {
              show: true,
              // A value between two gaps has no line to be seen by.
              filter: (self: UPlot, line: number) => alone(self, line),
            },
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
  }, [width, height, zone, scheme, cursor, shape, zooms]);

  useEffect(() => {
    plot.current?.setData([times, ...series.map((s) => s.values)]);
  }, [times, series, marks, range]);

  return (
    <div ref={ref} style={{ width: "100%" }}>
      <div ref={box} />
    </div>
  );
}

/** Few points are all shown; of many, those without a neighbour. */
function alone(plot: UPlot, line: number): number[] {
  const values = plot.data[line] ?? [];
  const few = values.length < 40;
  const known = (n: number) => values[n] !== null && values[n] !== undefined;
  return Array.from(values, (_, n) => n).filter((n) => known(n) && (few || (!known(n - 1) && !known(n + 1))));
}

/** Hands over the stretch that was drawn over, and takes the drawing away. */
function select(plot: UPlot, onZoom: ChartProps["onZoom"]): void {
  const { left, width } = plot.select;
  if (width < 6 || !onZoom) return;
  const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onZoom(from, to);
}

/** A thin line for each mark, with its letter on top. */
function drawMarks(plot: UPlot, marks: NonNullable<ChartProps["marks"]>, color: string): void {
  const { ctx, bbox } = plot;
  const ratio = window.devicePixelRatio || 1;
  ctx.save();
  ctx.strokeStyle = color;
  ctx.fillStyle = color;
  ctx.globalAlpha = 0.75;
  ctx.lineWidth = ratio;
  ctx.font = `${11 * ratio}px sans-serif`;
  ctx.textAlign = "center";
  ctx.setLineDash([3 * ratio, 3 * ratio]);
  for (const { at, sign } of marks) {
    const x = Math.round(plot.valToPos(at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + 12 * ratio);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(sign, x, bbox.top + 9 * ratio);
  }
  ctx.restore();
}

const spanOf = (plot: UPlot) => (plot.scales["x"]?.max ?? 0) - (plot.scales["x"]?.min ?? 0);

/** Date where days are shown, clock where hours are. */
function tickLabel(seconds: number, zone: string, span: number): string {
  const text = wallClock(seconds, zone);
  return span > 3 * 86_400 ? text.slice(5, 10) : text.slice(11, 16);
}
