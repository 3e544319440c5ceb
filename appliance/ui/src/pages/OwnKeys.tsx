// One's own API keys, on the account page: for one's own scripts. A key does what its role allows, and never more than the person.
import { Button, Group, Modal, NumberInput, Select, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import * as access from "../api/access";
import type { ApiKey } from "../api/queries";
import { useSession } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyLine } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { ProblemAlert } from "../components/Problem";
import { Time } from "../components/Time";
import { KeyState } from "./Keys";

const KEYS = ["account", "apiKeys"];

export function OwnKeys() {
  const session = useSession();
  const queries = useQueryClient();
  const keys = useSuspenseQuery({ queryKey: KEYS, queryFn: access.listOwnKeys }).data;
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const columns = useMemo<ColumnDef<ApiKey>[]>(
    () => [
      { id: "label", header: "For", accessorFn: (k) => k.label },
      { id: "role", header: "Role", accessorFn: (k) => access.roleLabel(k.role) },
      {
        id: "group",
        header: "Sees",
        accessorFn: (k) =>
          k.group ? (session.groups.find((g) => g.id === k.group)?.name ?? k.group) : "all my groups",
      },
      {
        id: "state",
        header: "State",
        enableSorting: false,
        cell: ({ row: { original } }) => <KeyState value={original} />,
      },
      { id: "from", header: "Works from", accessorFn: (k) => k.addresses.join(", ") || "everywhere" },
      {
        id: "expires",
        header: "Until",
        accessorFn: (k) => k.expires ?? "",
        cell: ({ row: { original } }) => <Time at={original.expires} none="for ever" />,
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) =>
          original.revoked ? null : (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`Revoke ${original.label}`}
              onClick={() => setRevoking(original)}
            >
              Revoke…
            </Button>
          ),
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
        <DataTable rows={keys} columns={columns} label="Your API keys" rowId={(k) => k.id} />
      ) : (
        <Text size="sm">
          None. A key lets your scripts do what you may do, with <code>HOLDFAST_KEY</code>; it ends with your account.
        </Text>
      )}
      <Make opened={making} onClose={() => setMaking(false)} />
      <Confirm
        opened={revoking !== null}
        title={`Revoke the key "${revoking?.label ?? ""}"`}
        button="Revoke"
        onClose={() => setRevoking(null)}
        onConfirm={async () => {
          await access.revokeOwnKey(revoking!.id);
          await queries.invalidateQueries({ queryKey: KEYS });
        }}
      >
        <p>
          Programs that use it are refused from their next request on. A key cannot be brought back; a new one can be
          made.
        </p>
      </Confirm>
    </section>
  );
}

function Make({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const session = useSession();
  const queries = useQueryClient();
  const [label, setLabel] = useState("");
  const [role, setRole] = useState<access.Role>("readOnly");
  const [group, setGroup] = useState<string | null>(null);
  const [days, setDays] = useState<number>(365);
  const [addresses, setAddresses] = useState("");
  const make = useMutation({
    mutationFn: () =>
      access.makeOwnKey({ label, role, group, days, addresses: addresses.split(/[\s,]+/).filter(Boolean) }),
    onSuccess: () => queries.invalidateQueries({ queryKey: KEYS }),
  });
  const close = () => {
    make.reset();
    setLabel("");
    onClose();
  };
  return (
    <Modal
      opened={opened}
      onClose={close}
      title="Make an API key of your own"
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      {make.data?.key ? (
        <Stack>
          <Text size="sm">This is the key. It is shown this once.</Text>
          <CopyLine text={make.data.key} label="API key" />
          <Group justify="flex-end">
            <Button onClick={close}>I have it</Button>
          </Group>
        </Stack>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            make.mutate();
          }}
        >
          <Stack>
            <TextInput
              label="What it is for"
              value={label}
              onChange={(e) => setLabel(e.currentTarget.value)}
              data-autofocus
            />
            <Select
              label="Role"
              description="It never does more than you may do yourself"
              data={access.roleOptions}
              value={role}
              onChange={(v) => v && setRole(v as access.Role)}
              allowDeselect={false}
            />
            <Select
              label="Group"
              placeholder="All my groups"
              data={session.groups.map((g) => ({ value: g.id, label: g.name }))}
              value={group}
              onChange={setGroup}
              clearable
              clearButtonProps={{ "aria-label": "All my groups" }}
            />
            <NumberInput
              label="Works for"
              suffix=" days"
              min={1}
              max={3650}
              value={days}
              onChange={(v) => setDays(Number(v) || 1)}
            />
            <TextInput
              label="Works from"
              description="Networks such as 10.0.0.0/8, with commas between; empty: everywhere"
              value={addresses}
              onChange={(e) => setAddresses(e.currentTarget.value)}
            />
            <ProblemAlert error={make.error} />
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                Close
              </Button>
              <Button type="submit" loading={make.isPending} disabled={!label}>
                Make the key
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}
