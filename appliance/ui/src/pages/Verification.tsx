// What reading back found: since when all is known to be good, which snapshots are damaged, and in which files.
import { Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { reportQuery, type Report } from "../api/appliance";
import { CopyId } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes, counted } from "../lib/format";
import { Fact } from "./Deployment";

type Check = Report["checks"][number];
type Damaged = Report["damaged"][number];

export function Verification() {
  const report = useQuery(reportQuery);
  const checks = useMemo<ColumnDef<Check>[]>(
    () => [
      {
        id: "snapshot",
        header: "Snapshot",
        accessorFn: (c) => c.snapshot,
        cell: ({ row: { original } }) => <CopyId id={original.snapshot} short={12} />,
      },
      {
        id: "at",
        header: "Read back",
        accessorFn: (c) => c.at,
        cell: ({ row: { original } }) => <Time at={original.at} />,
      },
      {
        id: "bytes",
        header: "Bytes",
        meta: { right: true },
        accessorFn: (c) => c.bytes,
        cell: ({ row: { original } }) => bytes(original.bytes),
      },
      {
        id: "found",
        header: "Found",
        accessorFn: (c) => c.badCount,
        cell: ({ row: { original } }) =>
          original.badCount ? (
            <Mark tone="red">{counted(original.badCount, "bad block")}</Mark>
          ) : (
            <Mark tone="green">All as it was written</Mark>
          ),
      },
      {
        id: "files",
        header: "Where",
        enableSorting: false,
        meta: { wrap: true },
        cell: ({ row: { original } }) => original.bad.slice(0, 20).join("; ") || "—",
      },
    ],
    [],
  );
  const damaged = useMemo<ColumnDef<Damaged>[]>(
    () => [
      { id: "rs", header: "Backup", accessorFn: (d) => `${d.group}/${d.rs}` },
      {
        id: "snapshot",
        header: "Snapshot",
        accessorFn: (d) => d.snapshot,
        cell: ({ row: { original } }) => <CopyId id={original.snapshot} short={12} />,
      },
      {
        id: "at",
        header: "Taken",
        accessorFn: (d) => d.committedAt,
        cell: ({ row: { original } }) => <Time at={original.committedAt} />,
      },
    ],
    [],
  );
  if (report.isPending) return <Waiting what="Reading the report" />;
  if (!report.data) return <ProblemAlert error={report.error} />;
  const { verification, checks: rows } = report.data;
  return (
    <Stack>
      <section className="hf-panel">
        <dl className="hf-facts">
          <Fact name="Every block was read back since">
            <Time at={verification.allSince} none="not every block yet" />
          </Fact>
          <Fact name="Shares never read">{verification.never} of 256</Fact>
          <Fact name="Damaged snapshots">{report.data.damaged.length}</Fact>
        </dl>
        <Text size="xs" className="hf-dim" mt="sm">
          The store is read back in 256 shares, one after the other, and each snapshot once right after it was taken.
        </Text>
      </section>
      {report.data.damaged.length ? (
        <DataTable rows={report.data.damaged} columns={damaged} label="Damaged snapshots" rowId={(d) => d.snapshot} />
      ) : null}
      {rows.length ? (
        <DataTable rows={rows} columns={checks} label="Snapshots that were read back" rowId={(c) => c.snapshot} />
      ) : (
        <Empty title="No snapshot was read back by itself yet">
          The next snapshot is, right after it was taken. Under Work everything can be read back at once.
        </Empty>
      )}
    </Stack>
  );
}
