// The group's deployments: what the agents found.
import { Text } from "@mantine/core";
import { useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { deploymentsQuery, overviewQuery, type Deployment } from "../api/queries";
import { useMay } from "../app/session";
import { DataTable } from "../components/DataTable";
import { Link, LinkButton } from "../components/Link";
import { Mark, type Tone } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty } from "../components/Problem";
import { Time } from "../components/Time";
import { VerdictMark } from "../components/Verdict";
import { bytes } from "../lib/format";
import { nameOf } from "../lib/names";

const STATES: Record<string, { tone: Tone; word: string }> = {
  discovering: { tone: "grey", word: "An agent is looking" },
  found: { tone: "ring", word: "Found" },
  refused: { tone: "red", word: "Refused" },
};
export const stateOf = (state: string) => STATES[state] ?? { tone: "grey" as Tone, word: state };

export function DeploymentsPage() {
  const { group } = useParams({ from: "/app/g/$group/deployments" });
  const rows = useSuspenseQuery(deploymentsQuery(group)).data;
  const overview = useSuspenseQuery(overviewQuery(group)).data;
  const may = useMay(group);
  const columns = useMemo<ColumnDef<Deployment>[]>(
    () => [
      {
        id: "name",
        header: "Deployment",
        accessorFn: nameOf,
        cell: ({ row: { original } }) => (
          <Link to="/g/$group/deployments/$deployment" params={{ group, deployment: original.id }}>
            {nameOf(original)}
          </Link>
        ),
      },
      {
        id: "state",
        header: "State",
        accessorFn: (d) => d.state,
        cell: ({ row: { original } }) => {
          const verdict = overview.find((o) => o.deployment === original.id)?.verdict;
          if (original.state === "found" && verdict) return <VerdictMark verdict={verdict} />;
          const { tone, word } = stateOf(original.state);
          return <Mark tone={tone}>{word}</Mark>;
        },
      },
      { id: "version", header: "MongoDB", accessorFn: (d) => d.version ?? "—" },
      { id: "members", header: "Members", meta: { right: true }, accessorFn: (d) => d.hosts.length },
      {
        id: "size",
        header: "Data files",
        meta: { right: true },
        accessorFn: (d) => d.storageBytes ?? 0,
        cell: ({ row: { original } }) => bytes(original.storageBytes),
      },
      {
        id: "created",
        header: "Added",
        accessorFn: (d) => d.created,
        cell: ({ row: { original } }) => <Time at={original.created} ago />,
      },
    ],
    [group, overview],
  );
  const add = may.agents ? (
    <LinkButton to="/g/$group/deployments/add" params={{ group }}>
      Add a deployment
    </LinkButton>
  ) : null;
  return (
    <Page title="Deployments" lead="Replica sets that an agent of this group found" actions={rows.length ? add : null}>
      {rows.length ? (
        <DataTable rows={rows} columns={columns} label="Deployments" rowId={(d) => d.id} />
      ) : (
        <Empty title="No deployment yet" action={add}>
          <Text size="sm">
            Adding one takes an agent beside the databases and a connection string that it can reach.
          </Text>
        </Empty>
      )}
    </Page>
  );
}
