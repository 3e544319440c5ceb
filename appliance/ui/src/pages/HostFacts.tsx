// What seldom changes of a host: start-up warnings, privileges, busy collections, command line, machine; and its last answers.
import { Button, Group, List, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useState } from "react";
import { factsQuery, pingsQuery, type Host, type HostFacts } from "../api/monitoring";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes, count } from "../lib/format";
import { save } from "../lib/save";
import { duration } from "../lib/time";

type Collection = HostFacts["collections"][number];

const COLLECTIONS: ColumnDef<Collection>[] = [
  { id: "ns", header: "Collection", accessorFn: (c) => c.ns },
  {
    id: "read",
    header: "Reading",
    meta: { right: true },
    accessorFn: (c) => c.readMillis,
    cell: ({ row: { original } }) => duration(original.readMillis / 1000),
  },
  {
    id: "write",
    header: "Writing",
    meta: { right: true },
    accessorFn: (c) => c.writeMillis,
    cell: ({ row: { original } }) => duration(original.writeMillis / 1000),
  },
  {
    id: "count",
    header: "Documents",
    meta: { right: true },
    accessorFn: (c) => c.count ?? 0,
    cell: ({ row: { original } }) => (original.count === null || original.count === undefined ? "—" : count(original.count)),
  },
  {
    id: "size",
    header: "File",
    meta: { right: true },
    accessorFn: (c) => c.storageBytes ?? 0,
    cell: ({ row: { original } }) => bytes(original.storageBytes),
  },
  {
    id: "indexes",
    header: "Indexes",
    meta: { right: true },
    accessorFn: (c) => c.indexBytes ?? 0,
    cell: ({ row: { original } }) => bytes(original.indexBytes),
  },
];

function Json({ value, label }: { value: unknown; label: string }) {
  return (
    <pre className="hf-panel" tabIndex={0} role="region" aria-label={label} style={{ overflow: "auto", maxHeight: 420 }}>
      {JSON.stringify(value, null, 2)}
    </pre>
  );
}

export function HostFactsPanel({ group, host }: { group: string; host: Host }) {
  const facts = useQuery(factsQuery(group, host.id));
  if (facts.isPending) return <Waiting what="Reading what is known" />;
  if (!facts.data) return <ProblemAlert error={facts.error} />;
  const known = facts.data;
  if (!known.at) {
    return (
      <Text size="sm" className="hf-dim">
        Nothing is known yet. The agent reads it within a minute of finding the host.
      </Text>
    );
  }
  return (
    <>
      <Text size="sm" className="hf-dim" mb="md">
        Read <Time at={known.at} ago />
      </Text>
      <Title order={2}>Start-up warnings</Title>
      {known.startupWarnings.length ? (
        <List size="sm" my="sm">
          {known.startupWarnings.map((warning, n) => (
            <List.Item key={n}>{warning}</List.Item>
          ))}
        </List>
      ) : (
        <Text size="sm" my="sm">
          It gave none.
        </Text>
      )}
      <Title order={2}>What monitoring may do</Title>
      <List size="sm" my="sm" listStyleType="none">
        {known.privileges.map((p) => (
          <List.Item key={p.need}>
            <Mark tone={p.granted ? "ring" : "red"}>
              {p.need}
              {p.granted ? "" : `: refused. ${p.error ?? ""}`}
            </Mark>
          </List.Item>
        ))}
      </List>
      <Title order={2} mb="sm">
        Busiest collections since its start
      </Title>
      {known.collections.length ? (
        <DataTable rows={known.collections} columns={COLLECTIONS} label="Collections" rowId={(c) => c.ns} />
      ) : (
        <Text size="sm">None was used yet.</Text>
      )}
      <Title order={2} mt="lg">
        Command line
      </Title>
      <Json value={known.commandLine} label="Command line" />
      <Title order={2}>Machine</Title>
      <Json value={known.hostInfo} label="Machine" />
    </>
  );
}

export function HostAnswers({ group, host }: { group: string; host: Host }) {
  const pings = useQuery(pingsQuery(group, host.id));
  const [chosen, setChosen] = useState(0);
  if (pings.isPending) return <Waiting what="Reading the last answers" />;
  if (!pings.data) return <ProblemAlert error={pings.error} />;
  const ping = pings.data[chosen] ?? pings.data[0];
  if (!ping) {
    return (
      <Text size="sm" className="hf-dim">
        None is kept yet: one is kept every minute, the last twenty of them.
      </Text>
    );
  }
  return (
    <>
      <Group gap="xs" mb="md">
        {pings.data.map((one, n) => (
          <Button
            key={one.at}
            size="compact-sm"
            variant={one === ping ? "filled" : "default"}
            aria-pressed={one === ping}
            onClick={() => setChosen(n)}
          >
            {one.at.slice(11, 19)} UTC
          </Button>
        ))}
        <Button
          size="compact-sm"
          variant="default"
          onClick={() => save(`${host.host} pings.json`, "application/json", JSON.stringify(pings.data, null, 2))}
        >
          Save all as JSON
        </Button>
      </Group>
      <Json value={ping.answers} label="Answers" />
    </>
  );
}
