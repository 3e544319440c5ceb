// Daemons: the machines that keep heads, their space and labels.
import { useSuspenseQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { daemonsQuery, type Daemon } from "../api/queries";
import { useNow } from "../app/now";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes } from "../lib/format";
import { secondsOf } from "../lib/time";

const SILENT_SECONDS_MAX = 60;

function State({ daemon }: { daemon: Daemon }) {
  const silent = useNow() - (secondsOf(daemon.lastSeen) ?? 0) > SILENT_SECONDS_MAX;
  return silent ? <Mark tone="red">Silent</Mark> : <Mark tone="ring">Runs</Mark>;
}

export function DaemonsPage() {
  const daemons = useSuspenseQuery(daemonsQuery).data;
  const columns = useMemo<ColumnDef<Daemon>[]>(
    () => [
      { id: "name", header: "Name", accessorFn: (d) => d.name },
      {
        id: "state",
        header: "State",
        enableSorting: false,
        cell: ({ row: { original } }) => <State daemon={original} />,
      },
      { id: "heads", header: "Heads", meta: { right: true }, accessorFn: (d) => d.heads },
      {
        id: "free",
        header: "Free for heads",
        meta: { right: true },
        accessorFn: (d) => d.freeBytes,
        cell: ({ row: { original } }) => bytes(original.freeBytes),
      },
      { id: "labels", header: "Labels", accessorFn: (d) => d.labels.join(", ") || "—" },
      {
        id: "seen",
        header: "Last contact",
        accessorFn: (d) => d.lastSeen,
        cell: ({ row: { original } }) => <Time at={original.lastSeen} ago />,
      },
      { id: "version", header: "Version", accessorFn: (d) => d.version },
    ],
    [],
  );
  return (
    <Page title="Daemons" lead="They keep a head of each replica set, take snapshots and make restores">
      {daemons.length ? (
        <DataTable rows={daemons} columns={columns} label="Daemons" rowId={(d) => d.id} />
      ) : (
        <Empty title="No daemon runs">
          Without one nothing is applied and no snapshot is taken. Start <code>holdfast-daemon</code> with the
          configuration of this appliance; it appears here by itself.
        </Empty>
      )}
    </Page>
  );
}
