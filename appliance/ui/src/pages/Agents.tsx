// Agents of the group: versions, last contact; the line that enrols another; revoke.
import { Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { client, data } from "../api/client";
import { agentsQuery, backupsQuery, type Agent } from "../api/queries";
import { useNow } from "../app/now";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyLine } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert } from "../components/Problem";
import { Time } from "../components/Time";
import { secondsOf } from "../lib/time";

/** An agent asks for its work every half minute; silence beyond this is late. */
const SILENT_SECONDS_MAX = 120;

function State({ agent }: { agent: Agent }) {
  const now = useNow();
  if (agent.revoked) return <Mark tone="off">Revoked</Mark>;
  const silent = now - (secondsOf(agent.lastSeen) ?? 0) > SILENT_SECONDS_MAX;
  return silent ? <Mark tone="amber">Silent</Mark> : <Mark tone="ring">In contact</Mark>;
}

export function AgentsPage() {
  const { group } = useParams({ from: "/app/g/$group/agents" });
  const agents = useSuspenseQuery(agentsQuery(group)).data;
  const backups = useSuspenseQuery(backupsQuery(group)).data;
  const may = useMay(group);
  const queries = useQueryClient();
  const [revoking, setRevoking] = useState<Agent | null>(null);
  const token = useMutation({
    mutationFn: () => data(client.POST("/groups/{group}/enrollTokens", { params: { path: { group } } })),
  });
  const columns = useMemo<ColumnDef<Agent>[]>(
    () => [
      { id: "host", header: "Host", accessorFn: (a) => a.hostname },
      {
        id: "state",
        header: "State",
        enableSorting: false,
        cell: ({ row: { original } }) => <State agent={original} />,
      },
      {
        id: "seen",
        header: "Last contact",
        accessorFn: (a) => a.lastSeen,
        cell: ({ row: { original } }) => <Time at={original.lastSeen} ago />,
      },
      { id: "version", header: "Version", accessorFn: (a) => a.version },
      {
        id: "work",
        header: "Sends",
        accessorFn: (a) =>
          backups
            .filter((b) => b.agent === a.id)
            .map((b) => b.rs)
            .join(", ") || "stands by",
      },
      {
        id: "revoke",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) =>
          may.agents && !original.revoked ? (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`Revoke ${original.hostname}`}
              onClick={() => setRevoking(original)}
            >
              Revoke…
            </Button>
          ) : null,
      },
    ],
    [backups, may.agents],
  );
  const enrol = may.agents ? (
    <Button loading={token.isPending} onClick={() => token.mutate()}>
      Enrol an agent
    </Button>
  ) : null;
  return (
    <Page
      title="Agents"
      lead="Programs beside the databases. They only connect outwards."
      actions={agents.length ? enrol : null}
    >
      <ProblemAlert error={token.error} />
      {token.data ? (
        <Stack gap="xs">
          <CopyLine text={token.data.command} label="The line that starts an agent" />
          <Text size="xs" className="hf-dim">
            Run it on a machine that reaches the databases and this appliance. It enrols agents until{" "}
            <Time at={token.data.expires} />.
          </Text>
        </Stack>
      ) : null}
      {agents.length ? (
        <DataTable rows={agents} columns={columns} label="Agents" rowId={(a) => a.id} />
      ) : (
        <Empty title="No agent yet" action={enrol}>
          One line, run on a machine that reaches the databases, starts an agent. It appears here by itself.
        </Empty>
      )}
      <Group />
      <Confirm
        opened={revoking !== null}
        title={`Revoke the agent on ${revoking?.hostname ?? ""}`}
        button="Revoke"
        onClose={() => setRevoking(null)}
        onConfirm={async () => {
          await client.DELETE("/groups/{group}/agents/{agent}", { params: { path: { group, agent: revoking!.id } } });
          await queries.invalidateQueries({ queryKey: ["group", group] });
        }}
      >
        <p>
          Its keys stop working at once. Its backups go to another agent of the group; where there is none, writes are
          no longer backed up until one comes.
        </p>
        <p>The agent can be enrolled again.</p>
      </Confirm>
    </Page>
  );
}
