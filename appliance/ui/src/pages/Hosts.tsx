// The group's hosts: every mongod and mongos that an agent reads, what it is and how it is.
import { Text } from "@mantine/core";
import { useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { hostsQuery, type Host } from "../api/monitoring";
import { DataTable } from "../components/DataTable";
import { Link, LinkButton } from "../components/Link";
import { Mark, type Tone } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty } from "../components/Problem";
import { Time } from "../components/Time";
import { counted } from "../lib/format";
import { duration } from "../lib/time";

const ROLES: Record<string, string> = {
  standalone: "Standalone",
  member: "Member",
  mongos: "Router",
  config: "Config server",
  shard: "Shard",
};

/** Down is red: it cannot be read. What serves is a ring: seen, not proved. */
export function toneOf(host: Host): Tone {
  if (!host.up) return "red";
  if (["PRIMARY", "SECONDARY", "ARBITER", "UP"].includes(host.state)) return "ring";
  return "amber";
}

/** What a host is, in a few words: `Member of rs0, hidden`. */
export function roleOf(host: Host): string {
  const role = ROLES[host.role] ?? host.role;
  const of = host.shard ?? host.set;
  const more = [
    host.hidden ? "hidden" : "",
    host.arbiter ? "arbiter" : "",
    host.delaySeconds > 0 ? `${duration(host.delaySeconds)} behind on purpose` : "",
  ].filter(Boolean);
  return [of ? `${role} of ${of}` : role, ...more].join(", ");
}

export function HostsPage() {
  const { group } = useParams({ from: "/app/g/$group/hosts" });
  const rows = useSuspenseQuery(hostsQuery(group)).data;
  const columns = useMemo<ColumnDef<Host>[]>(
    () => [
      {
        id: "host",
        header: "Host",
        accessorFn: (h) => h.host,
        cell: ({ row: { original } }) => (
          <Link to="/g/$group/hosts/$host" params={{ group, host: original.id }}>
            {original.host}
          </Link>
        ),
      },
      {
        id: "state",
        header: "State",
        accessorFn: (h) => h.state,
        cell: ({ row: { original } }) => <Mark tone={toneOf(original)}>{original.state}</Mark>,
      },
      { id: "role", header: "What it is", accessorFn: roleOf },
      {
        id: "lag",
        header: "Behind",
        meta: { right: true },
        accessorFn: (h) => h.lagSeconds ?? -1,
        cell: ({ row: { original } }) =>
          original.lagSeconds === null || original.lagSeconds === undefined ? "—" : duration(original.lagSeconds),
      },
      { id: "version", header: "MongoDB", accessorFn: (h) => h.version ?? "—" },
      {
        id: "notices",
        header: "To look at",
        accessorFn: (h) => h.notices.length + (h.error ? 1 : 0),
        cell: ({ row: { original } }) => {
          const n = original.notices.length + (original.error ? 1 : 0);
          return n ? <Mark tone={original.up ? "amber" : "red"}>{counted(n, "notice")}</Mark> : "—";
        },
      },
      {
        id: "seen",
        header: "Seen",
        accessorFn: (h) => h.seen,
        cell: ({ row: { original } }) => <Time at={original.seen} ago />,
      },
    ],
    [group],
  );
  return (
    <Page title="Hosts" lead="Every mongod and mongos that an agent of this group reads">
      {rows.length ? (
        <DataTable rows={rows} columns={columns} label="Hosts" rowId={(h) => h.id} />
      ) : (
        <Empty
          title="No host yet"
          action={
            <LinkButton to="/g/$group/deployments/add" params={{ group }}>
              Add a deployment
            </LinkButton>
          }
        >
          <Text size="sm">
            An agent beside the databases finds the others from one of them; the first numbers come within 20 seconds.
          </Text>
        </Empty>
      )}
    </Page>
  );
}
