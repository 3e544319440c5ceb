// One's own API keys, on the account page: for one's own scripts. A key does what its role allows, and never more than the person.
import { Button, Group, Text, Title } from "@mantine/core";
import { useSuspenseQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import * as access from "../api/access";
import type { ApiKey } from "../api/queries";
import { useSession } from "../app/session";
import { KeyTable } from "./KeyTable";
import { MakeKey } from "./MakeKey";

const KEYS = ["account", "apiKeys"];

export function OwnKeys() {
  const session = useSession();
  const keys = useSuspenseQuery({ queryKey: KEYS, queryFn: access.listOwnKeys }).data;
  const [making, setMaking] = useState(false);
  const sees = useMemo<ColumnDef<ApiKey>[]>(
    () => [
      {
        id: "group",
        header: "Sees",
        accessorFn: (k) =>
          k.group ? (session.groups.find((g) => g.id === k.group)?.name ?? k.group) : "all my groups",
      },
    ],
    [session.groups],
  );
  const held = session.totp.required && !session.totp.enabled;
  return (
    <section>
      <Group justify="space-between" mb="xs">
        <Title order={2}>Your API keys</Title>
        {held ? null : (
          <Button size="compact-sm" variant="default" onClick={() => setMaking(true)}>
            Make a key
          </Button>
        )}
      </Group>
      {keys.length ? (
        <KeyTable keys={keys} label="Your API keys" more={sees} revoke={access.revokeOwnKey} queryKey={KEYS} />
      ) : (
        <Text size="sm">
          None. A key lets your scripts do what you may do, with <code>HOLDFAST_KEY</code>; it ends with your account.
        </Text>
      )}
      <MakeKey
        title="Make an API key of your own"
        opened={making}
        onClose={() => setMaking(false)}
        make={access.makeOwnKey}
        queryKey={KEYS}
        groups={session.groups}
        roleHint="It never does more than you may do yourself"
      />
    </section>
  );
}
