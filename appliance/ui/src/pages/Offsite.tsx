// Offsite copies: standing orders to pull from another Holdfast or to push to a second blockstore; their runs, and what was pulled.
import {
  Button,
  Checkbox,
  Group,
  Modal,
  NumberInput,
  PasswordInput,
  SegmentedControl,
  Select,
  SimpleGrid,
  Stack,
  TagsInput,
  Text,
  Textarea,
  TextInput,
  Title,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import {
  addCopy,
  copiesQuery,
  pulledQuery,
  removeCopy,
  restorePulled,
  runCopy,
  type Copy,
  type Pulled,
} from "../api/appliance";
import { groupsQuery, type Restore } from "../api/queries";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyId, CopyLine } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { ProgressLine } from "../components/Job";
import { bytesPerSecond, LimitInput, type Limit } from "../components/LimitInput";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { bytes, count, counted, sentence } from "../lib/format";
import { useTexts } from "../lib/texts";
import { duration } from "../lib/time";
import { Fact } from "./Deployment";

export function OffsitePage() {
  const may = useMay(undefined);
  const copies = useQuery(copiesQuery);
  const [adding, setAdding] = useState(false);
  const add = may.owner ? <Button onClick={() => setAdding(true)}>Add an offsite copy</Button> : null;
  return (
    <Page
      title="Offsite copies"
      lead="Snapshots that travel: pulled from another Holdfast, or pushed to a second blockstore. Only missing blocks travel"
      actions={copies.data?.length ? add : null}
    >
      <ProblemAlert error={copies.error} />
      {copies.isPending ? (
        <Waiting what="Reading the offsite copies" />
      ) : copies.data?.length ? (
        copies.data.map((copy) => <One key={copy.name} copy={copy} />)
      ) : copies.error ? null : (
        <Empty title="Nothing is copied elsewhere" action={add}>
          A second place outlives a fire. On the machine that shall hold the copies, pull from the Holdfast that makes
          the backups: make an API key there (backup admin), take its <code>ca.pem</code> along, and add the copy here.
          Or push from here to a second MongoDB.
        </Empty>
      )}
      {adding ? <Add onClose={() => setAdding(false)} /> : null}
    </Page>
  );
}

function State({ copy }: { copy: Copy }) {
  if (copy.state === "running") return <Mark tone="grey">Copies now</Mark>;
  if (copy.state === "asked") return <Mark tone="off">Waits for a daemon</Mark>;
  if (copy.last?.error) return <Mark tone="red">The last run is not complete</Mark>;
  if (copy.last) return <Mark tone="ring">Waits for its time</Mark>;
  return <Mark tone="off">Did not run yet</Mark>;
}

function One({ copy }: { copy: Copy }) {
  const may = useMay(undefined);
  const queries = useQueryClient();
  const [removing, setRemoving] = useState(false);
  const [open, setOpen] = useState(false);
  const renew = () => queries.invalidateQueries({ queryKey: ["offsite"] });
  const run = useMutation({
    mutationFn: () => runCopy(copy.name),
    onSuccess: async () => {
      say("Asked for. A daemon takes it up within seconds.");
      await renew();
    },
  });
  const { progress, last, filter } = copy;
  const only = [
    filter.groups?.length ? `groups ${filter.groups.join(", ")}` : null,
    filter.replicaSets?.length ? `replica sets ${filter.replicaSets.join(", ")}` : null,
    filter.labels?.length ? `labels ${filter.labels.join(", ")}` : null,
    filter.lastOfDay ? "the last of each day" : null,
    filter.minAgeSeconds ? `older than ${duration(filter.minAgeSeconds)}` : null,
  ].filter(Boolean);
  return (
    <section className="hf-panel" aria-label={`Offsite copy ${copy.name}`}>
      <Stack gap="sm">
        <Group justify="space-between">
          <Group gap="sm">
            <Title order={2}>{copy.name}</Title>
            <State copy={copy} />
          </Group>
          <Group gap="xs">
            {may.backup ? (
              <Button
                size="compact-sm"
                variant="default"
                loading={run.isPending}
                disabled={copy.state !== "idle"}
                onClick={() => run.mutate()}
              >
                Run now
              </Button>
            ) : null}
            {copy.kind === "pull" ? (
              <Button size="compact-sm" variant="default" aria-expanded={open} onClick={() => setOpen(!open)}>
                {open ? "Hide its snapshots" : "Its snapshots"}
              </Button>
            ) : null}
            {may.owner ? (
              <Button size="compact-sm" variant="default" onClick={() => setRemoving(true)}>
                Remove…
              </Button>
            ) : null}
          </Group>
        </Group>
        <ProblemAlert error={run.error} />
        <dl className="hf-facts">
          <Fact name={copy.kind === "pull" ? "Pulled from" : "Pushed to"}>{copy.peer}</Fact>
          <Fact name="What">{only.length ? only.join("; ") : "every snapshot"}</Fact>
          <Fact name="How often">{copy.enabled ? `every ${duration(copy.everySeconds)}` : "only when asked for"}</Fact>
          <Fact name="Limit">{copy.bytesPerSecond ? `${bytes(copy.bytesPerSecond)}/s` : "none"}</Fact>
          <Fact name="Kept">
            {copy.keepDays ? `${counted(copy.keepDays, "day")}; the newest for good` : "as long as at the source"}
          </Fact>
        </dl>
        {progress && copy.state === "running" ? (
          <div>
            <Text size="sm">
              Snapshot {count(Math.min(progress.snapshots + 1, progress.snapshotsTotal))} of{" "}
              {count(progress.snapshotsTotal)}; {bytes(progress.sentBytes)} sent so far
            </Text>
            <ProgressLine
              progress={{ done: progress.bytes, total: progress.bytesTotal, unit: "bytes" }}
              label={`Run of ${copy.name}`}
            />
          </div>
        ) : null}
        {last ? (
          <div>
            <Text size="sm" component="div">
              Last run ended <Time at={last.finished} ago />: {counted(last.copied, "snapshot")} copied,{" "}
              {count(last.present)} there already, {count(last.trashed)} put into the trash; {bytes(last.sentBytes)}{" "}
              sent, {counted(last.provedBlocks, "block")} read back
            </Text>
            {last.error ? <Text size="sm">{sentence(last.error)}</Text> : null}
          </div>
        ) : null}
        {open ? <Snapshots copy={copy} /> : null}
      </Stack>
      <Confirm
        opened={removing}
        title={`Remove the offsite copy ${copy.name}`}
        button="Remove the order"
        onClose={() => setRemoving(false)}
        onConfirm={async () => {
          await removeCopy(copy.name);
          await renew();
        }}
      >
        A run that is under way ends, and no other comes. What was copied stays where it is. The order cannot be taken
        back: add it anew, with its key or connection string.
      </Confirm>
    </section>
  );
}

function Snapshots({ copy }: { copy: Copy }) {
  const may = useMay(undefined);
  const pulled = useQuery(pulledQuery(copy.name));
  const [made, setMade] = useState<Restore | null>(null);
  const restore = useMutation({
    mutationFn: (snapshot: string) => restorePulled(copy.name, snapshot),
    onSuccess: (job) => setMade(job as Restore),
  });
  const columns = useMemo<ColumnDef<Pulled>[]>(
    () => [
      { id: "rs", header: "Replica set", accessorFn: (p) => p.rs },
      {
        id: "at",
        header: "Holds all up to",
        accessorFn: (p) => p.at,
        cell: ({ row: { original } }) => <Time at={original.at} />,
      },
      {
        id: "size",
        header: "Files",
        meta: { right: true },
        accessorFn: (p) => p.logicalBytes,
        cell: ({ row: { original } }) => bytes(original.logicalBytes),
      },
      {
        id: "new",
        header: "New blocks",
        meta: { right: true },
        accessorFn: (p) => p.newBytes,
        cell: ({ row: { original } }) => bytes(original.newBytes),
      },
      { id: "label", header: "Label", accessorFn: (p) => p.label ?? "" },
      {
        id: "id",
        header: "Id there",
        enableSorting: false,
        cell: ({ row: { original } }) => <CopyId id={original.originId} short={10} />,
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) =>
          original.state !== "complete" ? (
            <Mark tone="off">In the trash</Mark>
          ) : may.backup ? (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`Make a link for the snapshot of ${original.rs} at ${original.at}`}
              onClick={() => restore.mutate(original.id)}
            >
              Make a link
            </Button>
          ) : null,
      },
    ],
    [may.backup, restore],
  );
  if (pulled.isPending) return <Waiting what="Reading what was pulled" />;
  const rows = [...(pulled.data ?? [])].reverse();
  return (
    <Stack gap="sm">
      <ProblemAlert error={pulled.error ?? restore.error} />
      {rows.length ? (
        <DataTable rows={rows} columns={columns} label={`Snapshots of ${copy.name}`} rowId={(p) => p.id} />
      ) : (
        <Text size="sm">Nothing came yet.</Text>
      )}
      {made?.url ? (
        <div>
          <Text size="sm" mb={4}>
            The link is shown once, here. A snapshot is restored as it is; seconds after it are the source's to restore.
          </Text>
          <CopyLine label="Link of the download" text={made.url} />
        </div>
      ) : null}
    </Stack>
  );
}

function Add({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const groups = useQuery(groupsQuery).data ?? [];
  const [kind, setKind] = useState<"pull" | "push">("pull");
  const [text, field] = useTexts({
    name: "",
    url: "",
    key: "",
    ca: "",
    uri: "",
    database: "",
    packs: "",
    bucket: "",
    prefix: "",
    endpoint: "",
    region: "us-east-1",
    accessKeyId: "",
    secretAccessKey: "",
  });
  const [place, setPlace] = useState<"database" | "folder" | "bucket">("database");
  const [group, setGroup] = useState<string | null>(groups[0]?.name ?? null);
  const [keys, setKeys] = useState("");
  const [names, setNames] = useState<{ groups: string[]; replicaSets: string[]; labels: string[] }>({
    groups: [],
    replicaSets: [],
    labels: [],
  });
  const [lastOfDay, setLastOfDay] = useState(false);
  const [hours, setHours] = useState<number | string>(1);
  const [limit, setLimit] = useState<Limit>("");
  const [days, setDays] = useState<number | string>("");
  const list = (name: keyof typeof names) => ({
    value: names[name],
    onChange: (value: string[]) => setNames((old) => ({ ...old, [name]: value })),
  });
  const add = useMutation({
    mutationFn: () =>
      addCopy({
        name: text.name,
        from:
          kind === "pull"
            ? {
                url: text.url,
                key: text.key.trim(),
                ca: text.ca.trim() || null,
                intoGroup: group ?? "",
                groupKeys: keys.split(/\s+/).filter(Boolean),
              }
            : null,
        to:
          kind === "push"
            ? {
                uri: text.uri,
                database: text.database,
                packs: place === "folder" ? text.packs : null,
                s3:
                  place === "bucket"
                    ? {
                        bucket: text.bucket,
                        prefix: text.prefix,
                        endpoint: text.endpoint || null,
                        region: text.region,
                        accessKeyId: text.accessKeyId,
                        secretAccessKey: text.secretAccessKey,
                      }
                    : null,
              }
            : null,
        filter: { ...names, lastOfDay, minAgeSeconds: 0 },
        everySeconds: Math.round((Number(hours) || 1) * 3600),
        bytesPerSecond: bytesPerSecond(limit),
        keepDays: Number(days) > 0 ? Number(days) : null,
        disabled: false,
      }),
    onSuccess: async (made) => {
      say(`${made.name} is added; its first run comes within seconds.`);
      await queries.invalidateQueries({ queryKey: ["offsite"] });
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title="Add an offsite copy" size="xl" closeButtonProps={{ "aria-label": "Close" }}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          add.mutate();
        }}
      >
        <Stack>
          <SegmentedControl
            aria-label="Direction"
            value={kind}
            onChange={(value) => setKind(value as typeof kind)}
            data={[
              { value: "pull", label: "Pull from another Holdfast" },
              { value: "push", label: "Push to a second blockstore" },
            ]}
          />
          <TextInput label="Name" description="Letters, digits, - _ ." required {...field("name")} />
          {kind === "pull" ? (
            <>
              <SimpleGrid cols={{ base: 1, sm: 2 }}>
                <TextInput label="Its address" placeholder="https://holdfast.example:8080" required {...field("url")} />
                <PasswordInput
                  label="API key there"
                  description="Of the role backup admin; stored sealed"
                  autoComplete="off"
                  required
                  {...field("key")}
                />
              </SimpleGrid>
              <Textarea
                label="Certificate of its CA"
                description="The text of its ca/ca.pem: the only one that is trusted. Empty: what this system trusts"
                rows={3}
                {...field("ca")}
              />
              <Select
                label="Belongs to the group"
                description="Its people see and restore what comes"
                allowDeselect={false}
                value={group}
                onChange={setGroup}
                data={groups.map((g) => g.name)}
              />
              <Textarea
                label="Keys of groups that encrypt there"
                description="As exported there (HFKEY-...), one a line. Without it nothing of that group comes"
                rows={2}
                value={keys}
                onChange={(event) => setKeys(event.currentTarget.value)}
              />
            </>
          ) : (
            <SimpleGrid cols={{ base: 1, sm: 2 }}>
              <PasswordInput
                label="Connection string"
                description="As the daemons reach it; stored sealed"
                autoComplete="off"
                required
                {...field("uri")}
              />
              <TextInput label="Database" required {...field("database")} />
              <Select
                label="Payloads lie in"
                allowDeselect={false}
                value={place}
                onChange={(value) => setPlace(value as typeof place)}
                data={[
                  { value: "database", label: "that database" },
                  { value: "folder", label: "a folder of packs" },
                  { value: "bucket", label: "a bucket of packs" },
                ]}
              />
              {place === "folder" ? (
                <TextInput label="Folder of packs" description="As the daemons see it" required {...field("packs")} />
              ) : null}
              {place === "bucket" ? (
                <>
                  <TextInput label="Bucket" description="It must exist" required {...field("bucket")} />
                  <TextInput label="Folder in the bucket" {...field("prefix")} />
                  <TextInput label="URL of the service" description="Empty: Amazon's" {...field("endpoint")} />
                  <TextInput label="Region" required {...field("region")} />
                  <TextInput label="Access key" required {...field("accessKeyId")} />
                  <PasswordInput
                    label="Its secret"
                    description="Stored sealed"
                    autoComplete="off"
                    required
                    {...field("secretAccessKey")}
                  />
                </>
              ) : null}
            </SimpleGrid>
          )}
          <SimpleGrid cols={{ base: 1, sm: 3 }}>
            <TagsInput label="Only groups" {...list("groups")} />
            <TagsInput label="Only replica sets" {...list("replicaSets")} />
            <TagsInput label="Only labels" {...list("labels")} />
            <NumberInput label="Every" suffix=" h" min={0.1} max={744} value={hours} onChange={setHours} />
            <LimitInput description="Empty: none" value={limit} onChange={setLimit} />
            <NumberInput
              label="Kept for"
              description="Empty: as long as at the source"
              suffix=" days"
              min={0}
              value={days}
              onChange={setDays}
            />
          </SimpleGrid>
          <Checkbox
            label="Of each day that is over, the last snapshot only"
            checked={lastOfDay}
            onChange={(event) => setLastOfDay(event.currentTarget.checked)}
          />
          <ProblemAlert error={add.error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Add nothing
            </Button>
            <Button type="submit" loading={add.isPending}>
              Add it
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
