// A chart over time. The library that draws it is loaded when the first one is shown.
import { Text } from "@mantine/core";
import { lazy, Suspense } from "react";

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

export interface ChartProps {
  title: string;
  /** Seconds since 1970. */
  times: number[];
  series: Series[];
  /** A value in its unit. */
  format: (value: number) => string;
  /** When there is nothing to draw yet. */
  empty: string;
  /** Charts of one name share their cursor. */
  cursor: string;
}

const HEIGHT = 190;

/** What the chart shows, for those who do not see it: first and last value of each line. */
function spoken({ series, format }: ChartProps): string {
  const said = series.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    const [first, last] = [known[0], known.at(-1)];
    return first === undefined || last === undefined
      ? `${label}: not known`
      : `${label}: from ${format(first)} to ${format(last)}`;
  });
  return said.join("; ");
}

export function Chart(props: ChartProps) {
  const { title, times, empty } = props;
  return (
    <figure className="hf-chart" style={{ margin: 0 }}>
      <figcaption>
        <Text size="sm" fw={600} mb={4}>
          {title}
        </Text>
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
