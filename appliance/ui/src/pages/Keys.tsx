// API keys of a group, or of the whole appliance: for programs and for the command line.
import { Button, Text } from "@mantine/core";
import { useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useState } from "react";
import { client, data } from "../api/client";
import { keysQuery, type ApiKey } from "../api/queries";
import type { components } from "../api/schema";
import { useMay } from "../app/session";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty } from "../components/Problem";
import { KeyTable } from "./KeyTable";
import { MakeKey } from "./MakeKey";

type NewKey = components["schemas"]["NewKey"];

/** Whose keys, and how they are made and revoked. */
interface KeysOf {
  keys: ApiKey[];
  queryKey: readonly unknown[];
  lead: string;
  mayChange: boolean;
  make: (body: NewKey) => Promise<ApiKey>;
  revoke: (key: string) => Promise<unknown>;
}

export function KeysPage() {
  const { group } = useParams({ from: "/app/g/$group/keys" });
  const query = keysQuery(group);
  return (
    <KeyList
      keys={useSuspenseQuery(query).data}
      queryKey={query.queryKey}
      lead="For programs and the command line; a key sees this group alone"
      mayChange={useMay(group).people}
      make={(body) => data(client.POST("/groups/{group}/apiKeys", { params: { path: { group } }, body }))}
      revoke={(key) => client.DELETE("/groups/{group}/apiKeys/{key}", { params: { path: { group, key } } })}
    />
  );
}

const MAKER: ColumnDef<ApiKey>[] = [
  {
    id: "maker",
    header: "Made by",
    accessorFn: (k) => k.madeBy ?? "",
    cell: ({ row: { original: k } }) =>
      k.makerLeft && !k.revoked ? (
        <Mark tone="amber">{k.madeBy ?? "someone"}, who has left</Mark>
      ) : (
        (k.madeBy ?? <span className="hf-dim">the server</span>)
      ),
  },
];

export function KeyList({ keys, queryKey, lead, mayChange, make: send, revoke }: KeysOf) {
  const [making, setMaking] = useState(false);
  const make = mayChange ? <Button onClick={() => setMaking(true)}>Make a key</Button> : null;
  return (
    <Page title="API keys" lead={lead} actions={keys.length ? make : null}>
      {keys.length ? (
        <KeyTable keys={keys} label="API keys" more={MAKER} revoke={mayChange ? revoke : null} queryKey={queryKey} />
      ) : (
        <Empty title="No key yet" action={make}>
          <Text size="sm">
            <code>HOLDFAST_KEY</code> with a key lets <code>holdfast</code> do on any machine what this page does here.
          </Text>
        </Empty>
      )}
      <MakeKey
        title="Make an API key"
        opened={making}
        onClose={() => setMaking(false)}
        make={({ label, role, days, addresses }) => send({ label, role, days, addresses })}
        queryKey={queryKey}
      />
    </Page>
  );
}
