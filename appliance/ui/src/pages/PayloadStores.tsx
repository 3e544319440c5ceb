// Payload stores: where blocks lie. Folders and buckets are added, limited, emptied into another one, and retired.
import {
  Button,
  Checkbox,
  Group,
  Modal,
  PasswordInput,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState, type ReactNode } from "react";
import { addStore, askWork, changeStore, type Store } from "../api/appliance";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { DataTable } from "../components/DataTable";
import { bytesPerSecond, limitOf, LimitInput, type Limit } from "../components/LimitInput";
import { Mark } from "../components/Mark";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { bytes } from "../lib/format";
import { useTexts } from "../lib/texts";

const nameOf = (store: Store) =>
  store.number === 0 ? "0: database" : `${store.number}: ${store.location ?? store.kind}`;

type Act = { kind: "add" } | { kind: "limit" | "empty" | "retire"; store: Store } | null;

export function PayloadStores({ stores }: { stores: Store[] }) {
  const may = useMay(undefined);
  const queries = useQueryClient();
  const [act, setAct] = useState<Act>(null);
  const renew = () => queries.invalidateQueries({ queryKey: ["blockstore"] });
  const change = useMutation({
    mutationFn: ({ number, ...body }: { number: number; default?: boolean; state?: string }) =>
      changeStore(number, body),
    onSuccess: async () => {
      say("Changed. Every process follows within seconds.");
      await renew();
    },
  });
  const columns = useMemo<ColumnDef<Store>[]>(
    () => [
      { id: "number", header: "Store", accessorFn: (s) => s.number, cell: ({ row: { original } }) => nameOf(original) },
      {
        id: "state",
        header: "State",
        accessorFn: (s) => s.state,
        meta: { wrap: true },
        cell: ({ row: { original: s } }) => <State store={s} />,
      },
      {
        id: "bytes",
        header: "On disk",
        meta: { right: true },
        accessorFn: (s) => s.bytes ?? -1,
        cell: ({ row: { original } }) => bytes(original.bytes),
      },
      { id: "packs", header: "Packs", meta: { right: true }, accessorFn: (s) => s.packs ?? "—" },
      {
        id: "limit",
        header: "Limit",
        meta: { right: true },
        accessorFn: (s) => s.bandwidthBytesPerSecond ?? 0,
        cell: ({ row: { original } }) =>
          original.bandwidthBytesPerSecond ? `${bytes(original.bandwidthBytesPerSecond)}/s` : "none",
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original: s } }) =>
          may.owner && s.state !== "retired" ? (
            <Group gap={4} wrap="nowrap">
              {!s.default && s.state === "active" ? (
                <Small onClick={() => change.mutate({ number: s.number, default: true })}>Make default</Small>
              ) : null}
              {s.number !== 0 ? <Small onClick={() => setAct({ kind: "limit", store: s })}>Limit…</Small> : null}
              {!s.default && s.number !== 0 ? (
                <Small onClick={() => setAct({ kind: "empty", store: s })}>Empty…</Small>
              ) : null}
              {s.state === "draining" ? (
                <>
                  <Small onClick={() => change.mutate({ number: s.number, state: "active" })}>Use again</Small>
                  <Small onClick={() => setAct({ kind: "retire", store: s })}>Retire…</Small>
                </>
              ) : null}
            </Group>
          ) : null,
      },
    ],
    [may.owner, change],
  );
  const close = () => setAct(null);
  return (
    <Stack>
      <ProblemAlert error={change.error} />
      <DataTable rows={stores} columns={columns} label="Payload stores" rowId={(s) => String(s.number)} />
      {may.owner ? (
        <Group>
          <Button onClick={() => setAct({ kind: "add" })}>Add a store</Button>
        </Group>
      ) : null}
      {act?.kind === "add" ? <Add onClose={close} /> : null}
      {act?.kind === "limit" ? <ChangeLimit store={act.store} onClose={close} /> : null}
      {act?.kind === "empty" ? <EmptyStore store={act.store} stores={stores} onClose={close} /> : null}
      {act?.kind === "retire" ? (
        <Confirm
          opened
          title={`Retire store ${nameOf(act.store)}`}
          button="Retire it"
          onClose={close}
          onConfirm={async () => {
            await changeStore(act.store.number, { state: "retired" });
            say("Retired. Its folder or bucket is no longer looked at.");
            await renew();
          }}
        >
          It must be empty; that is checked. Its number is never used again, and the store cannot be taken back: add it
          anew under another number.
        </Confirm>
      ) : null}
    </Stack>
  );
}

function Small({ onClick, children }: { onClick: () => void; children: ReactNode }) {
  return (
    <Button size="compact-xs" variant="default" onClick={onClick}>
      {children}
    </Button>
  );
}

function State({ store }: { store: Store }) {
  if (store.fault) return <Mark tone="red">Cannot be used: {store.fault}</Mark>;
  if (store.state === "draining") return <Mark tone="grey">Takes nothing new</Mark>;
  if (store.state === "retired") return <Mark tone="off">Retired</Mark>;
  return <Mark tone="ring">{store.default ? "New blocks go here" : "Used"}</Mark>;
}

function Add({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [kind, setKind] = useState("directory");
  const [form, text] = useTexts({
    directory: "",
    endpoint: "",
    region: "us-east-1",
    bucket: "",
    prefix: "",
    accessKeyId: "",
    secretAccessKey: "",
    caPem: "",
  });
  const [isDefault, setDefault] = useState(false);
  const [limit, setLimit] = useState<Limit>("");
  const add = useMutation({
    mutationFn: () => {
      const both = {
        default: isDefault,
        bandwidthBytesPerSecond: bytesPerSecond(limit),
      };
      if (kind === "directory") return addStore({ ...both, directory: form.directory });
      const { endpoint, region, bucket, prefix, accessKeyId, secretAccessKey, caPem } = form;
      return addStore({
        ...both,
        s3: {
          endpoint: endpoint || null,
          region,
          bucket,
          prefix,
          accessKeyId,
          secretAccessKey,
          caPem: caPem || null,
        },
      });
    },
    onSuccess: async (made) => {
      say(`Store ${made.number} was opened and marked as this blockstore's.`);
      await queries.invalidateQueries({ queryKey: ["blockstore"] });
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title="Add a store" size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          add.mutate();
        }}
      >
        <Stack>
          <SegmentedControl
            aria-label="Kind of store"
            value={kind}
            onChange={setKind}
            data={[
              { value: "directory", label: "Folder" },
              { value: "s3", label: "Bucket" },
            ]}
          />
          {kind === "directory" ? (
            <TextInput
              label="Folder"
              description="Its whole path, seen by web, ingest and every daemon under this same path"
              placeholder="/mnt/packs"
              required
              {...text("directory")}
            />
          ) : (
            <SimpleGrid cols={{ base: 1, sm: 2 }}>
              <TextInput
                label="Service"
                description="URL; empty: Amazon's"
                placeholder="https://s3.example:9000"
                {...text("endpoint")}
              />
              <TextInput
                label="Region"
                description="Any name where the service does not care"
                required
                {...text("region")}
              />
              <TextInput label="Bucket" description="It must exist" required {...text("bucket")} />
              <TextInput label="Folder in it" description="May be empty" {...text("prefix")} />
              <TextInput label="Access key" autoComplete="off" required {...text("accessKeyId")} />
              <PasswordInput
                label="Its secret"
                description="Stored sealed, never shown again"
                autoComplete="new-password"
                required
                {...text("secretAccessKey")}
              />
            </SimpleGrid>
          )}
          <LimitInput description="For each process and direction; empty: none" value={limit} onChange={setLimit} />
          <Checkbox
            label="New blocks go there from now on"
            checked={isDefault}
            onChange={(event) => setDefault(event.currentTarget.checked)}
          />
          <Text size="xs" className="hf-dim">
            It is opened and marked before it counts. A store that cannot be used is not added.
          </Text>
          <ProblemAlert error={add.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Add nothing
            </Button>
            <Button type="submit" loading={add.isPending}>
              Add the store
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function ChangeLimit({ store, onClose }: { store: Store; onClose: () => void }) {
  const queries = useQueryClient();
  const [limit, setLimit] = useState(limitOf(store.bandwidthBytesPerSecond));
  const save = useMutation({
    mutationFn: () => changeStore(store.number, { bandwidthBytesPerSecond: bytesPerSecond(limit) ?? 0 }),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["blockstore"] });
      onClose();
    },
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Limit of store ${nameOf(store)}`}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Stack>
        <LimitInput description="For each process and direction; empty: none" value={limit} onChange={setLimit} />
        <ProblemAlert error={save.error} />
        <Group justify="flex-end">
          <Button loading={save.isPending} onClick={() => save.mutate()}>
            Save the limit
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}

function EmptyStore({ store, stores, onClose }: { store: Store; stores: Store[]; onClose: () => void }) {
  const queries = useQueryClient();
  const targets = stores.filter((s) => s.number !== store.number && s.state === "active" && !s.fault);
  const [to, setTo] = useState<string | null>(String((targets.find((s) => s.default) ?? targets[0])?.number ?? ""));
  const move = useMutation({
    mutationFn: () => askWork({ kind: "move", from: store.number, to: Number(to) }),
    onSuccess: async () => {
      say("Asked for. Its progress stands under Work.");
      await queries.invalidateQueries({ queryKey: ["blockstore"] });
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={`Empty store ${nameOf(store)}`} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Text size="sm">
          From now on nothing new goes there, and {bytes(store.bytes)} move to the store that you choose, while backups
          run. A block that is found bad stays and is named. Call it off at any time; what has moved stays moved.
        </Text>
        <Select
          label="To"
          allowDeselect={false}
          value={to}
          onChange={setTo}
          data={targets.map((s) => ({ value: String(s.number), label: nameOf(s) }))}
        />
        <ProblemAlert error={move.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Leave it
          </Button>
          <Button loading={move.isPending} disabled={!to} onClick={() => move.mutate()}>
            Move {bytes(store.bytes)}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
