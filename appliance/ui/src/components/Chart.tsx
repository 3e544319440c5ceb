// A chart over time. The library that draws it is loaded when the first one is shown.
import { Button, Group, Text } from "@mantine/core";
import { lazy, Suspense, useRef } from "react";
import { savePicture } from "../lib/picture";

const Plot = lazy(async () => ({ default: (await import("./Plot")).Plot }));

export interface Series {
  label: string;
  /** A CSS variable's name. */
  color: string;
  /** One per time; null: not known then. */
  values: (number | null)[];
  /** Dashes tell lines apart where colours do not. */
  dash?: number[];
}

/** Something that happened at one time. */
export interface ChartMark {
  /** Seconds since 1970. */
  at: number;
  /** One letter, drawn above the line. */
  sign: string;
  word: string;
}

export interface ChartProps {
  title: string;
  /** More about what is drawn, shown when the title is pointed at. */
  hint?: string;
  /** Seconds since 1970. */
  times: number[];
  series: Series[];
  /** A value in its unit. */
  format: (value: number) => string;
  /** When there is nothing to draw yet. */
  empty: string;
  /** Charts of one name share their cursor. */
  cursor: string;
  /** First and last second that the chart reaches; none: those of the values. */
  range?: [number, number];
  marks?: ChartMark[];
  /** Someone drew over this stretch of time. */
  onZoom?: (from: number, to: number) => void;
  /** Saves the values; with it, the chart can be saved as a picture too. */
  onCsv?: () => void;
}

const HEIGHT = 190;

/** What the chart shows, for those who do not see it: first and last value of each line. */
function spoken(props: ChartProps): string {
  const { series, format } = props;
  const said = series.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    const [first, last] = [known[0], known.at(-1)];
    return first === undefined || last === undefined
      ? `${label}: not known`
      : `${label}: from ${format(first)} to ${format(last)}`;
  });
  const happened = (props.marks ?? []).slice(-5).map(({ word }) => word);
  return [...said, ...(happened.length ? [`marks: ${happened.join(", ")}`] : [])].join("; ");
}

export function Chart(props: ChartProps) {
  const { title, times, empty, hint, onCsv } = props;
  const figure = useRef<HTMLElement>(null);
  return (
    <figure className="hf-chart" style={{ margin: 0, minWidth: 0 }} ref={figure}>
      <figcaption>
        <Group justify="space-between" mb={4} gap="xs" wrap="nowrap">
          <Text size="sm" fw={600} title={hint}>
            {title}
          </Text>
          {onCsv ? (
            <Button.Group>
              <Button size="compact-xs" variant="default" onClick={onCsv} aria-label={`${title}: save the values as CSV`}>
                CSV
              </Button>
              <Button
                size="compact-xs"
                variant="default"
                onClick={() => savePicture(figure.current, title)}
                aria-label={`${title}: save as a picture`}
              >
                PNG
              </Button>
            </Button.Group>
          ) : null}
        </Group>
      </figcaption>
      {times.length < 2 ? (
        <Text size="sm" className="hf-dim" style={{ minHeight: 60 }}>
          {empty}
        </Text>
      ) : (
        <div role="img" aria-label={`${title}. ${spoken(props)}`}>
          <Suspense fallback={<div style={{ height: HEIGHT }} />}>
            <Plot {...props} height={HEIGHT} />
          </Suspense>
        </div>
      )}
    </figure>
  );
}
