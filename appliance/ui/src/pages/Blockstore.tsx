// The blockstore: what the data takes, and what deduplication and compression save. From the snapshots of the groups that one sees.
import { Text } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { backupsQuery, snapshotsQuery } from "../api/queries";
import { useSession } from "../app/session";
import { DataTable } from "../components/DataTable";
import { Page } from "../components/Page";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { bytes, count } from "../lib/format";
import { Fact } from "./Deployment";

interface Row {
  id: string;
  group: string;
  rs: string;
  snapshots: number;
  logical: number;
  added: number;
  stored: number;
}

export function BlockstorePage() {
  const groups = useSession().groups;
  const backups = useQueries({ queries: groups.map((g) => backupsQuery(g.name)) });
  const jobs = backups.flatMap((list, n) => (list.data ?? []).map((b) => ({ group: groups[n]!.name, rs: b.rs })));
  const lists = useQueries({ queries: jobs.map((job) => snapshotsQuery(job.group, job.rs)) });
  const rows: Row[] = jobs.map((job, n) => {
    const all = lists[n]?.data ?? [];
    const sum = (of: (s: (typeof all)[number]) => number) => all.reduce((total, s) => total + of(s), 0);
    return {
      ...job,
      id: `${job.group}/${job.rs}`,
      snapshots: all.length,
      logical: sum((s) => s.logicalBytes),
      added: sum((s) => s.newBytes),
      stored: sum((s) => s.storedBytes),
    };
  });
  const total = (of: (row: Row) => number) => rows.reduce((sum, row) => sum + of(row), 0);
  const [logical, added, stored] = [total((r) => r.logical), total((r) => r.added), total((r) => r.stored)];
  const columns = useMemo(
    () => [
      { id: "group", header: "Group", accessorFn: (r: Row) => r.group },
      { id: "rs", header: "Backup", accessorFn: (r: Row) => r.rs },
      {
        id: "n",
        header: "Snapshots",
        meta: { right: true },
        accessorFn: (r: Row) => r.snapshots,
        cell: ({ row }: { row: { original: Row } }) => count(row.original.snapshots),
      },
      {
        id: "logical",
        header: "Their files",
        meta: { right: true },
        accessorFn: (r: Row) => r.logical,
        cell: ({ row }: { row: { original: Row } }) => bytes(row.original.logical),
      },
      {
        id: "added",
        header: "New blocks",
        meta: { right: true },
        accessorFn: (r: Row) => r.added,
        cell: ({ row }: { row: { original: Row } }) => bytes(row.original.added),
      },
      {
        id: "stored",
        header: "Stored",
        meta: { right: true },
        accessorFn: (r: Row) => r.stored,
        cell: ({ row }: { row: { original: Row } }) => bytes(row.original.stored),
      },
      {
        id: "saved",
        header: "Saved",
        meta: { right: true },
        accessorFn: (r: Row) => 1 - r.stored / Math.max(1, r.logical),
        cell: ({ row }: { row: { original: Row } }) => percent(row.original.stored, row.original.logical),
      },
    ],
    [],
  );
  const pending = backups.some((b) => b.isPending) || lists.some((l) => l.isPending);
  return (
    <Page title="Blockstore" lead="What the snapshots of your groups take, and what deduplication and compression save">
      <ProblemAlert error={backups.find((b) => b.error)?.error ?? lists.find((l) => l.error)?.error} />
      {pending ? (
        <Waiting what="Adding up" />
      ) : rows.length === 0 ? (
        <Empty title="Nothing is stored yet">
          As soon as a backup has its first snapshot, this page says what it takes.
        </Empty>
      ) : (
        <>
          <section className="hf-panel">
            <dl className="hf-facts">
              <Fact name="Files of all snapshots">{bytes(logical)}</Fact>
              <Fact name="New blocks when they were taken">{bytes(added)}</Fact>
              <Fact name="Stored, compressed">{bytes(stored)}</Fact>
              <Fact name="Deduplication">{times(logical, added)}</Fact>
              <Fact name="Compression">{times(added, stored)}</Fact>
              <Fact name="Saved">{percent(stored, logical)}</Fact>
            </dl>
            <Text size="xs" className="hf-dim" mt="sm">
              Counted when each snapshot was taken; blocks that were freed since are still in these sums.
            </Text>
          </section>
          <DataTable rows={rows} columns={columns} label="Backups by what they store" rowId={(r) => r.id} />
        </>
      )}
    </Page>
  );
}

const times = (whole: number, part: number) => (part > 0 ? `${(whole / part).toFixed(1)} times` : "—");
const percent = (part: number, whole: number) =>
  whole > 0 ? `${Math.max(0, (1 - part / whole) * 100).toFixed(1)} %` : "—";
