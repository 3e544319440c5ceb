// API keys of a group, or of the whole appliance: for programs and for the command line.
import { Button, Group, Modal, NumberInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { roleLabel, roleOptions, type Role } from "../api/access";
import { client, data } from "../api/client";
import { keysQuery, type ApiKey } from "../api/queries";
import type { components } from "../api/schema";
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

export function KeyState({ value }: { value: ApiKey }) {
  const ended = useNow() > (secondsOf(value.expires) ?? Number.POSITIVE_INFINITY);
  return value.revoked ? (
    <Mark tone="off">Revoked</Mark>
  ) : ended ? (
    <Mark tone="off">Ended</Mark>
  ) : (
    <Mark tone="ring">Works</Mark>
  );
}

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

export function KeyList({ keys, queryKey, lead, mayChange, make: send, revoke }: KeysOf) {
  const queries = useQueryClient();
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const columns = useMemo<ColumnDef<ApiKey>[]>(
    () => [
      { id: "label", header: "For", accessorFn: (k) => k.label },
      { id: "role", header: "Role", accessorFn: (k) => roleLabel(k.role) },
      {
        id: "state",
        header: "State",
        enableSorting: false,
        cell: ({ row: { original } }) => <KeyState value={original} />,
      },
      { id: "from", header: "Works from", accessorFn: (k) => k.addresses.join(", ") || "everywhere" },
      {
        id: "created",
        header: "Made",
        accessorFn: (k) => k.created,
        cell: ({ row: { original } }) => <Time at={original.created} />,
      },
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
          mayChange && !original.revoked ? (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`Revoke ${original.label}`}
              onClick={() => setRevoking(original)}
            >
              Revoke…
            </Button>
          ) : null,
      },
    ],
    [mayChange],
  );
  const make = mayChange ? <Button onClick={() => setMaking(true)}>Make a key</Button> : null;
  return (
    <Page title="API keys" lead={lead} actions={keys.length ? make : null}>
      {keys.length ? (
        <DataTable rows={keys} columns={columns} label="API keys" rowId={(k) => k.id} />
      ) : (
        <Empty title="No key yet" action={make}>
          <Text size="sm">
            <code>HOLDFAST_KEY</code> with a key lets <code>holdfast</code> do on any machine what this page does here.
          </Text>
        </Empty>
      )}
      <Make send={send} queryKey={queryKey} opened={making} onClose={() => setMaking(false)} />
      <Confirm
        opened={revoking !== null}
        title={`Revoke the key "${revoking?.label ?? ""}"`}
        button="Revoke"
        onClose={() => setRevoking(null)}
        onConfirm={async () => {
          await revoke(revoking!.id);
          await queries.invalidateQueries({ queryKey });
        }}
      >
        <p>
          Programs that use it are refused from their next request on. A key cannot be brought back; a new one can be
          made.
        </p>
      </Confirm>
    </Page>
  );
}

interface MakeProps extends Pick<KeysOf, "queryKey"> {
  send: KeysOf["make"];
  opened: boolean;
  onClose: () => void;
}

function Make({ send, queryKey, opened, onClose }: MakeProps) {
  const queries = useQueryClient();
  const [label, setLabel] = useState("");
  const [role, setRole] = useState<Role>("readOnly");
  const [days, setDays] = useState<number>(365);
  const [addresses, setAddresses] = useState("");
  const make = useMutation({
    mutationFn: () => send({ label, role, days, addresses: addresses.split(/[\s,]+/).filter(Boolean) }),
    onSuccess: () => queries.invalidateQueries({ queryKey }),
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
      title="Make an API key"
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
              data={roleOptions}
              value={role}
              onChange={(v) => v && setRole(v as Role)}
              allowDeselect={false}
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
