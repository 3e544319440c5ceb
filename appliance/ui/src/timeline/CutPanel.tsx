// The cut: the last entries in, a line, the first entries out. Each row can be made the end: "just before this".
import { Button, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { cutQuery, type Cut } from "../api/queries";
import { useZone } from "../app/zone";
import { ProblemAlert, Waiting } from "../components/Problem";
import { count } from "../lib/format";
import { wallClock, zoneName } from "../lib/time";
import { apiAt, justBefore, type Chosen } from "./instant";
import { lost } from "./lost";

interface Props {
  group: string;
  rs: string;
  chosen: Chosen;
  /** Of two histories this one; none: the younger. */
  chain?: number | undefined;
  onChoose: (chosen: Chosen) => void;
}

type Entry = Cut["before"][number];

export function CutPanel({ group, rs, chosen, chain, onChoose }: Props) {
  const { zone } = useZone();
  const cut = useQuery(cutQuery(group, rs, apiAt(chosen), chain));
  if (cut.isPending) return <Waiting what="Reading the ledger around this second" />;
  if (cut.error) return <ProblemAlert error={cut.error} />;
  const row = (entry: Entry, out: boolean) => (
    <tr key={`${entry.at.t},${entry.at.i}`}>
      <td className="hf-num">
        {wallClock(entry.at.t, zone).slice(11)} <span className="hf-dim">· {entry.at.i}</span>
      </td>
      <td>{entry.kind}</td>
      <td className="hf-mono">{entry.ns || "—"}</td>
      <td className="hf-right mantine-visible-from-sm">{count(entry.count)}</td>
      <td style={{ textAlign: "right" }}>
        <Group gap={4} justify="flex-end" wrap="nowrap">
          {out ? (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`Up to here: ${entry.kind} ${entry.ns}`}
              onClick={() => onChoose({ second: entry.at.t, i: entry.at.i })}
            >
              Up to here
            </Button>
          ) : null}
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Just before this: ${entry.kind} ${entry.ns}`}
            onClick={() => onChoose(justBefore(entry.at))}
          >
            Just before this
          </Button>
        </Group>
      </td>
    </tr>
  );
  return (
    <>
      <div className="hf-tablebox" tabIndex={0} role="region" aria-label="Oplog entries around the chosen second">
        <table className="hf-table">
          <thead>
            <tr>
              <th scope="col">{zoneName(chosen.second, zone)} · entry</th>
              <th scope="col">Kind</th>
              <th scope="col">Namespace</th>
              <th scope="col" className="hf-right mantine-visible-from-sm">
                Operations
              </th>
              <th scope="col">
                <span className="hf-hidden">Choose</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {cut.data.before.length ? (
              cut.data.before.map((entry) => row(entry, false))
            ) : (
              <tr>
                <td colSpan={5} className="hf-dim">
                  No writes found before it
                </td>
              </tr>
            )}
            <tr>
              <td colSpan={5} style={{ background: "var(--hf-band-soft)", borderBlock: "2px solid var(--hf-band)" }}>
                <Text size="xs" fw={600}>
                  ▲ restored · cut · not restored ▼
                </Text>
              </td>
            </tr>
            {cut.data.after.length ? (
              cut.data.after.map((entry) => row(entry, true))
            ) : (
              <tr>
                <td colSpan={5} className="hf-dim">
                  Nothing was written after it yet
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
      <Text size="sm" mt="xs">
        {cut.data.nextMinute.length
          ? `Not restored, of the minute after it${cut.data.nextMinuteTruncated ? " (and more that was not counted)" : ""}: ${cut.data.nextMinute.map(lost).join("; ")}.`
          : cut.data.nextMinuteTruncated
            ? "What was written in the minute after it was not counted."
            : "Nothing was written in the minute after it."}
      </Text>
    </>
  );
}
