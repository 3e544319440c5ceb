// The charts of a host, or of one of its disks or databases. All of them show the same time and move together.
import { Select, SimpleGrid, Text } from "@mantine/core";
import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { hostEventsQuery, measurementsQuery, metricsQuery, type Host, type Measurements } from "../api/monitoring";
import { backupsQuery, snapshotsQuery } from "../api/queries";
import { Chart } from "../components/Chart";
import { ProblemAlert, Waiting } from "../components/Problem";
import { save } from "../lib/save";
import { chartsOf, csvOf, isKnown, marksOf, seriesOf, timesOf, type ChartOf } from "./lines";
import { zoomed, type Span } from "./spans";
import { formatOf } from "./units";

export const SECTIONS = ["operations", "server", "storage", "replication", "machine", "disks", "databases"] as const;
export type Section = (typeof SECTIONS)[number];

const EMPTY = "Nothing was measured in this time. The first point of a new host comes within 20 seconds.";

interface Props {
  group: string;
  host: Host;
  section: Section;
  part: string | undefined;
  span: Span;
  onSpan: (span: Span) => void;
  onPart: (part: string) => void;
}

/** Disks or databases that the section is about. */
function partsOf(host: Host, section: Section): string[] {
  const kind = section === "disks" ? "disk/" : section === "databases" ? "db/" : null;
  return kind === null ? [] : host.parts.filter((part) => part.startsWith(kind));
}

export function HostCharts({ group, host, section, part, span, onSpan, onPart }: Props) {
  const table = useSuspenseQuery(metricsQuery).data;
  const parts = partsOf(host, section);
  const chosen = parts.find((p) => p === part) ?? parts[0];
  const needsPart = section === "disks" || section === "databases";
  const charts = useMemo(() => chartsOf(table.filter((metric) => metric.section === section)), [table, section]);
  const metrics = useMemo(() => charts.flatMap((chart) => chart.metrics.map((m) => m.name)), [charts]);
  const asked = !needsPart || chosen !== undefined;
  const measured = useQuery(
    measurementsQuery({
      group,
      host: host.id,
      metrics: asked ? metrics : [],
      ...(chosen === undefined ? {} : { part: chosen }),
      ...span,
    }),
  );
  const marks = useMarks(group, host, span);
  if (!asked) {
    const what = section === "disks" ? "disks, because its agent runs on another machine" : "databases yet";
    return (
      <Text size="sm" className="hf-dim">
        Nothing is known of this host&apos;s {what}.
      </Text>
    );
  }
  return (
    <>
      {parts.length > 1 ? (
        <Select
          label={section === "disks" ? "Disk" : "Database"}
          data={parts.map((p) => ({ value: p, label: p.slice(p.indexOf("/") + 1) }))}
          value={chosen ?? null}
          onChange={(value) => value && onPart(value)}
          allowDeselect={false}
          searchable
          maw={320}
          mb="md"
        />
      ) : null}
      <ProblemAlert error={measured.error} />
      {measured.data ? (
        <Charts
          charts={charts}
          measured={measured.data}
          name={`${host.host} ${chosen ?? ""}`}
          marks={marks}
          onZoom={(from, to) => onSpan(zoomed(from, to))}
        />
      ) : (
        <Waiting what="Reading measurements" />
      )}
    </>
  );
}

function useMarks(group: string, host: Host, { span, to }: Span) {
  const events = useQuery(hostEventsQuery(group, host.id, to, span)).data;
  const backups = useQuery(backupsQuery(group)).data;
  const rs = backups?.find((backup) => backup.rs === host.set)?.rs;
  const snapshots = useQuery({ ...snapshotsQuery(group, rs ?? ""), enabled: rs !== undefined }).data;
  return useMemo(() => marksOf(events ?? [], snapshots ?? []), [events, snapshots]);
}

interface ChartsProps {
  charts: ChartOf[];
  measured: Measurements;
  name: string;
  marks: ReturnType<typeof marksOf>;
  onZoom: (from: number, to: number) => void;
}

function Charts({ charts, measured, name, marks, onZoom }: ChartsProps) {
  const times = useMemo(() => timesOf(measured), [measured]);
  const drawn = useMemo(
    () => charts.map((chart) => ({ chart, series: seriesOf(chart, measured) })).filter((c) => isKnown(c.series)),
    [charts, measured],
  );
  const last = (times.at(-1) ?? 0) + measured.stepSeconds;
  const inside = marks.filter((mark) => mark.at >= measured.start && mark.at <= last);
  if (drawn.length === 0) {
    return (
      <Text size="sm" className="hf-dim">
        {EMPTY}
      </Text>
    );
  }
  return (
    <>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        {drawn.map(({ chart, series }) => (
          <Chart
            key={chart.title}
            title={chart.title[0]!.toUpperCase() + chart.title.slice(1)}
            hint={chart.metrics.map((m) => `${m.name}: ${m.description}`).join("\n")}
            times={times}
            series={series}
            format={formatOf(chart.unit)}
            empty={EMPTY}
            cursor="host"
            range={[measured.start, last]}
            marks={inside}
            onZoom={onZoom}
            onCsv={() =>
              save(
                `${name} ${chart.title}.csv`,
                "text/csv",
                csvOf(
                  times,
                  chart.metrics.map((m) => m.name),
                  series,
                ),
              )
            }
          />
        ))}
      </SimpleGrid>
      <Text size="sm" className="hf-dim" mt="md">
        Drag over a chart to look closer. A point is the mean of {measured.stepSeconds} s; where nothing was measured
        the line has a gap.
        {inside.length ? " Marks: R restart, P primary, S secondary, ↓ down, ↑ up, B snapshot." : ""}
      </Text>
    </>
  );
}
