// How the blockstore grew: sizes, ratios, room and the caches over time, and when it is full.
import { Group, SegmentedControl, SimpleGrid, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { historyQuery, type History } from "../api/appliance";
import { Chart } from "../components/Chart";
import { Mark } from "../components/Mark";
import { ProblemAlert, Waiting } from "../components/Problem";
import { bytes, rateOf } from "../lib/format";
import { duration } from "../lib/time";
import { Fact } from "./Deployment";

const DAY = 86_400;
const SPANS = [
  { label: "1 day", value: String(DAY) },
  { label: "7 days", value: String(7 * DAY) },
  { label: "90 days", value: String(90 * DAY) },
  { label: "2 years", value: String(730 * DAY) },
];
/** Below this many days a full store has a deadline. */
const SOON_DAYS = 30;
const EMPTY = "The first points come within ten minutes of the daemon's start.";

const percent = (share: number) => `${rateOf(share * 100)} %`;
const times = (ratio: number) => `${ratio.toFixed(1)}×`;

export function BlockstoreHistory() {
  const [span, setSpan] = useState(SPANS[1]!.value);
  const history = useQuery(historyQuery(Number(span)));
  if (history.isPending) return <Waiting what="Reading how it grew" />;
  if (!history.data) return <ProblemAlert error={history.error} />;
  return (
    <>
      <Forecast history={history.data} />
      <Group justify="flex-end" my="md">
        <SegmentedControl aria-label="Time that is shown" data={SPANS} value={span} onChange={setSpan} />
      </Group>
      <Charts history={history.data} />
    </>
  );
}

function Forecast({ history: { forecast, cacheHitShare } }: { history: History }) {
  const days = forecast?.daysToFull;
  return (
    <section className="hf-panel">
      <dl className="hf-facts">
        <Fact name="Full in">
          {!forecast ? (
            "told after six hours, where there is a bound"
          ) : days === null || days === undefined ? (
            "not within ten years"
          ) : days < SOON_DAYS ? (
            <Mark tone="amber">{duration(days * DAY)}</Mark>
          ) : (
            duration(days * DAY)
          )}
        </Fact>
        <Fact name="Growth">
          {forecast ? `${bytes(forecast.bytesPerDay)} a day, over ${duration(forecast.overSeconds)}` : "not known yet"}
        </Fact>
        <Fact name="Free for new blocks">{forecast ? bytes(forecast.freeBytes) : "not known yet"}</Fact>
        <Fact name="Cache hits in a day">
          {cacheHitShare === null || cacheHitShare === undefined ? "nothing was asked for" : percent(cacheHitShare)}
        </Fact>
      </dl>
    </section>
  );
}

function Charts({ history: { points } }: { history: History }) {
  const at = useMemo(() => points.map((p) => p.at), [points]);
  const line = (pick: (point: History["points"][number]) => number | null | undefined) =>
    points.map((point) => pick(point) ?? null);
  const ratio = (a: number, b: number) => (b > 0 ? a / b : null);
  const shared = { times: at, empty: EMPTY, cursor: "blockstore" };
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
      <Chart
        {...shared}
        title="Files of all snapshots, and what of them is different"
        format={bytes}
        series={[
          { label: "Files", color: "--hf-dim", dash: [6, 4], values: line((p) => p.logicalBytes) },
          { label: "Different", color: "--hf-band", values: line((p) => p.rawBytes) },
        ]}
      />
      <Chart
        {...shared}
        title="Stored"
        format={bytes}
        series={[
          { label: "Stored", color: "--hf-band", values: line((p) => p.storedBytes) },
          { label: "Needed by one alone", color: "--hf-dim", dash: [6, 4], values: line((p) => p.uniqueBytes) },
          { label: "Reclaimable", color: "--hf-amber", dash: [2, 3], values: line((p) => p.reclaimableBytes) },
        ]}
      />
      <Chart
        {...shared}
        title="Saved by it"
        format={times}
        series={[
          { label: "Deduplication", color: "--hf-band", values: line((p) => ratio(p.logicalBytes, p.rawBytes)) },
          {
            label: "Compression",
            color: "--hf-dim",
            dash: [6, 4],
            values: line((p) => ratio(p.rawBytes, p.storedBytes)),
          },
        ]}
      />
      <Chart
        {...shared}
        title="On disks, and free"
        format={bytes}
        series={[
          { label: "On disks and in buckets", color: "--hf-band", values: line((p) => p.diskBytes) },
          { label: "Free", color: "--hf-dim", dash: [6, 4], values: line((p) => p.freeBytes) },
        ]}
      />
      <Chart
        {...shared}
        title="Blocks that the daemons' caches had"
        format={percent}
        series={[
          {
            label: "Hits",
            color: "--hf-band",
            values: line((p) => ratio(p.cacheHits, p.cacheHits + p.cacheMisses)),
          },
        ]}
      />
      <Text size="sm" className="hf-dim">
        A point is taken every five minutes and kept for a week; one of every six hours is kept for two years. What one
        snapshot alone needs and what is reclaimable is counted by collections.
      </Text>
    </SimpleGrid>
  );
}
