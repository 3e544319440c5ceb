// The snapshots of a backup: sizes, proof, label; take one now, pin, delete to the trash.
import { Button, Checkbox, Drawer, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useEffect, useMemo, useState } from "react";
import { askWork } from "../api/appliance";
import { client, data } from "../api/client";
import type { Backup, Snapshot } from "../api/queries";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyId } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { LinkButton } from "../components/Link";
import { Mark, type Tone } from "../components/Mark";
import { Empty, ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { Label } from "./SnapshotLabel";
import { Trash } from "./SnapshotTrash";
import { bytes } from "../lib/format";
import { duration } from "../lib/time";
import { Fact } from "./Deployment";

const PROOFS: Record<string, { tone: Tone; word: string }> = {
  good: { tone: "green", word: "Proved" },
  none: { tone: "ring", word: "Not proved" },
  failed: { tone: "red", word: "Proof failed" },
  damaged: { tone: "red", word: "Damaged" },
};
export const proofOf = (proof: string) => PROOFS[proof] ?? { tone: "grey" as Tone, word: proof };

interface Props {
  group: string;
  rs: string;
  backup: Backup;
  snapshots: Snapshot[];
  chosen: string | undefined;
}

export function Snapshots({ group, rs, backup, snapshots, chosen }: Props) {
  const navigate = useNavigate({ from: "/g/$group/backups/$rs" });
  const may = useMay(group);
  const [taking, setTaking] = useState(false);
  const rows = useMemo(() => snapshots.filter((s) => s.state === "complete").reverse(), [snapshots]);
  const trashed = useMemo(() => snapshots.filter((s) => s.state === "trashed").reverse(), [snapshots]);
  const columns = useMemo<ColumnDef<Snapshot>[]>(
    () => [
      {
        id: "at",
        header: "Time",
        accessorFn: (s) => s.optime.t,
        cell: ({ row: { original: s } }) => <Time at={s.at} />,
      },
      {
        id: "label",
        header: "Label",
        accessorFn: (s) => s.label ?? "",
        cell: ({ row: { original: s } }) => (
          <>
            {s.pinned ? "📌︎ " : ""}
            {s.label ?? <span className="hf-dim">—</span>}
          </>
        ),
      },
      {
        id: "proof",
        header: "Proof",
        accessorFn: (s) => s.proof,
        cell: ({ row: { original: s } }) => {
          const { tone, word } = proofOf(s.proof);
          return <Mark tone={tone}>{word}</Mark>;
        },
      },
      {
        id: "size",
        header: "Size",
        meta: { right: true },
        accessorFn: (s) => s.logicalBytes,
        cell: ({ row: { original: s } }) => bytes(s.logicalBytes),
      },
      {
        id: "new",
        header: "New",
        meta: { right: true },
        accessorFn: (s) => s.newBytes,
        cell: ({ row: { original: s } }) => bytes(s.newBytes),
      },
      {
        id: "unique",
        header: "Its alone",
        meta: { right: true },
        accessorFn: (s) => s.uniqueBytes ?? -1,
        cell: ({ row: { original: s } }) =>
          s.uniqueBytes === null || s.uniqueBytes === undefined ? (
            <span className="hf-dim">not counted yet</span>
          ) : (
            bytes(s.uniqueBytes)
          ),
      },
      {
        id: "open",
        header: "",
        enableSorting: false,
        cell: ({ row: { original: s } }) => (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Details of the snapshot of ${s.at}`}
            onClick={() => void navigate({ search: (old) => ({ ...old, snapshot: s.id }), resetScroll: false })}
          >
            Details
          </Button>
        ),
      },
    ],
    [navigate],
  );
  const open = snapshots.find((s) => s.id === chosen);
  const stored = rows.reduce((sum, s) => sum + s.storedBytes, 0);
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Text size="sm" className="hf-dim">
          Size: all files. New: what was not in the store yet; {bytes(stored)} in all, compressed. Its alone: what would
          become free if that snapshot were gone.
        </Text>
        {may.backup ? (
          <Button onClick={() => setTaking(true)} disabled={["stopped", "failed", "terminated"].includes(backup.state)}>
            Take a snapshot now
          </Button>
        ) : null}
      </Group>
      {rows.length ? (
        <DataTable rows={rows} columns={columns} label="Snapshots, newest first" rowId={(s) => s.id} chosen={chosen} />
      ) : (
        <Empty title="No snapshot yet">
          The first one is taken as soon as the head has caught up; after it every{" "}
          {duration(backup.settings.schedule.everySeconds)}.
        </Empty>
      )}
      {trashed.length ? <Trash group={group} rs={rs} snapshots={trashed} /> : null}
      <Drawer
        opened={!!open}
        onClose={() => void navigate({ search: (old) => ({ ...old, snapshot: undefined }), resetScroll: false })}
        position="right"
        size="md"
        title="Snapshot"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        {open ? <Detail group={group} rs={rs} snapshot={open} /> : null}
      </Drawer>
      <Take group={group} rs={rs} opened={taking} onClose={() => setTaking(false)} />
    </Stack>
  );
}

function Detail({ group, rs, snapshot }: { group: string; rs: string; snapshot: Snapshot }) {
  const may = useMay(group);
  const queries = useQueryClient();
  const [deleting, setDeleting] = useState(false);
  const params = { params: { path: { group, rs, snapshot: snapshot.id } } };
  const renew = () => queries.invalidateQueries({ queryKey: ["group", group] });
  const pin = useMutation({
    mutationFn: async () => {
      if (snapshot.pinned) await client.POST("/groups/{group}/backups/{rs}/snapshots/{snapshot}/unpin", params);
      else await client.POST("/groups/{group}/backups/{rs}/snapshots/{snapshot}/pin", { ...params, body: {} });
    },
    onSuccess: renew,
  });
  const verify = useMutation({
    mutationFn: () => askWork({ kind: "verify", snapshot: snapshot.id }),
    onSuccess: async () => {
      say("Asked for: under Jobs is how far it is, under Blockstore, Verification what it found.");
      await queries.invalidateQueries({ queryKey: ["blockstore"] });
    },
  });
  const { tone, word } = proofOf(snapshot.proof);
  return (
    <Stack gap="lg">
      <Text fw={600} size="lg">
        {snapshot.label ?? <Time at={snapshot.at} />}
      </Text>
      <dl className="hf-facts">
        <Fact name="Time of the source">
          <Time at={snapshot.at} />
        </Fact>
        <Fact name="Optime">
          {snapshot.optime.t},{snapshot.optime.i}
        </Fact>
        <Fact name="Proof">
          <Mark tone={tone}>{word}</Mark>
        </Fact>
        <Fact name="Size of its files">{bytes(snapshot.logicalBytes)}</Fact>
        <Fact name="New when it was taken">{bytes(snapshot.newBytes)}</Fact>
        <Fact name="Stored, compressed">{bytes(snapshot.storedBytes)}</Fact>
        <Fact name="Taken in">{duration(snapshot.tookSeconds)}</Fact>
        <Fact name="MongoDB">{snapshot.serverVersion}</Fact>
        <Fact name="Chain">{snapshot.chain}</Fact>
        <Fact name="Its alone">
          {snapshot.uniqueBytes === null || snapshot.uniqueBytes === undefined
            ? "not counted yet"
            : bytes(snapshot.uniqueBytes)}
        </Fact>
        <Fact name="Kept">{snapshot.pinned ? "pinned: until it is unpinned" : "as the schedule says"}</Fact>
        <Fact name="Id">
          <CopyId id={snapshot.id} short={12} />
        </Fact>
      </dl>
      <ProblemAlert error={pin.error ?? verify.error} />
      {may.backup ? <Label key={snapshot.id} group={group} rs={rs} snapshot={snapshot} /> : null}
      {may.backup ? (
        <Group gap="xs">
          <LinkButton to="/g/$group/backups/$rs/restore" params={{ group, rs }} search={{ snapshot: snapshot.id }}>
            Restore it…
          </LinkButton>
          <Button variant="default" loading={pin.isPending} onClick={() => pin.mutate()}>
            {snapshot.pinned ? "Unpin" : "Pin"}
          </Button>
          {may.over("blockstore:create") ? (
            <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
              Read it back now
            </Button>
          ) : null}
          <Button variant="default" onClick={() => setDeleting(true)}>
            Delete…
          </Button>
        </Group>
      ) : null}
      <Confirm
        opened={deleting}
        title="Put this snapshot into the trash"
        button="Put into the trash"
        onClose={() => setDeleting(false)}
        onConfirm={async () => {
          await client.DELETE("/groups/{group}/backups/{rs}/snapshots/{snapshot}", params);
          await renew();
        }}
      >
        <p>
          The snapshot of <Time at={snapshot.at} /> is no longer offered. Seconds that only it makes restorable are lost
          with it;{" "}
          {snapshot.uniqueBytes === null || snapshot.uniqueBytes === undefined
            ? `up to ${bytes(snapshot.storedBytes)} become free, less what other snapshots share.`
            : `${bytes(snapshot.uniqueBytes)} become free: what other snapshots share stays.`}
        </p>
        <p>
          It lies in the trash below the list until the date that stands there; until then it can be taken out again.
        </p>
      </Confirm>
    </Stack>
  );
}

function Take({ group, rs, opened, onClose }: { group: string; rs: string; opened: boolean; onClose: () => void }) {
  const queries = useQueryClient();
  const [label, setLabel] = useState("");
  const [pin, setPin] = useState(false);
  const [request, setRequest] = useState<string | null>(null);
  const take = useMutation({
    mutationFn: () =>
      data(
        client.POST("/groups/{group}/backups/{rs}/snapshots", {
          params: { path: { group, rs } },
          body: { label: label || null, pin },
        }),
      ),
    onSuccess: (made) => setRequest(made.request),
  });
  const state = useQuery({
    queryKey: ["group", group, "snapshotRequest", rs, request],
    queryFn: () =>
      data(
        client.GET("/groups/{group}/backups/{rs}/snapshots/requests/{request}", {
          params: { path: { group, rs, request: request! } },
        }),
      ),
    enabled: request !== null,
    refetchInterval: 700,
  });
  const done = state.data?.state === "done";
  useEffect(() => {
    if (!done) return;
    say("The snapshot is complete and listed.");
    void queries.invalidateQueries({ queryKey: ["group", group] });
    setRequest(null);
    setLabel("");
    setPin(false);
    onClose();
  }, [done, queries, group, onClose]);
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title="Take a snapshot now"
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          take.mutate();
        }}
      >
        <Stack>
          <TextInput
            label="Label"
            description="What it is for: before the migration"
            value={label}
            maxLength={200}
            onChange={(event) => setLabel(event.currentTarget.value)}
            data-autofocus
          />
          <Checkbox
            label="Pin it: kept until it is unpinned"
            checked={pin}
            onChange={(event) => setPin(event.currentTarget.checked)}
          />
          <ProblemAlert error={take.error ?? state.error} />
          {request ? (
            <Mark tone={state.data?.state === "failed" ? "red" : "grey"}>
              {state.data?.state === "failed"
                ? `It failed: ${state.data.error ?? "the daemon gave no reason"}`
                : state.data?.state === "running"
                  ? "The daemon writes it"
                  : "Waiting for the daemon"}
            </Mark>
          ) : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Close
            </Button>
            <Button type="submit" loading={take.isPending || (request !== null && state.data?.state !== "failed")}>
              Take it
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
