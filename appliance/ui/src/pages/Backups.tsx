// The group's backups, each a door to its timeline.
import { useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { backupsQuery, type Backup } from "../api/queries";
import { DataTable } from "../components/DataTable";
import { Link, LinkButton } from "../components/Link";
import { Page } from "../components/Page";
import { Empty } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes, sentence, words } from "../lib/format";
import { duration } from "../lib/time";

export function BackupsPage() {
  const { group } = useParams({ from: "/app/g/$group/backups" });
  const rows = useSuspenseQuery(backupsQuery(group)).data;
  const columns = useMemo<ColumnDef<Backup>[]>(
    () => [
      {
        id: "rs",
        header: "Replica set",
        accessorFn: (b) => b.rs,
        cell: ({ row: { original } }) => (
          <Link to="/g/$group/backups/$rs" params={{ group, rs: original.rs }}>
            {original.rs}
          </Link>
        ),
      },
      { id: "state", header: "State", accessorFn: (b) => sentence(words(b.state)) },
      { id: "phase", header: "Head", accessorFn: (b) => b.phase },
      {
        id: "from",
        header: "Restorable from",
        accessorFn: (b) => b.ranges[0]?.from.t ?? 0,
        cell: ({ row: { original } }) => <Time at={original.ranges[0]?.from.t} none="nothing yet" />,
      },
      {
        id: "to",
        header: "up to",
        accessorFn: (b) => b.ranges.at(-1)?.to.t ?? 0,
        cell: ({ row: { original } }) => <Time at={original.ranges.at(-1)?.to.t} none="nothing yet" />,
      },
      {
        id: "lag",
        header: "Behind",
        meta: { right: true },
        accessorFn: (b) => b.lagSeconds ?? -1,
        cell: ({ row: { original: b } }) =>
          b.lagSeconds === null || b.lagSeconds === undefined ? "—" : duration(b.lagSeconds),
      },
      {
        id: "bytes",
        header: "Head on disk",
        meta: { right: true },
        accessorFn: (b) => b.headBytes,
        cell: ({ row: { original } }) => bytes(original.headBytes),
      },
    ],
    [group],
  );
  return (
    <Page title="Backups" lead="Timelines, snapshots and settings of each backup">
      {rows.length ? (
        <DataTable rows={rows} columns={columns} label="Backups" rowId={(b) => b.id} />
      ) : (
        <Empty
          title="No backup was started in this group"
          action={
            <LinkButton to="/g/$group/deployments" params={{ group }}>
              See the deployments
            </LinkButton>
          }
        >
          A backup is started on the page of a deployment. It copies the data once and then follows every write.
        </Empty>
      )}
    </Page>
  );
}
