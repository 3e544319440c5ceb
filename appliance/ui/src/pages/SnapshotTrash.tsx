// Snapshots in the trash: until when each can be taken out again, and the button that does it.
import { Button, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { client } from "../api/client";
import type { Snapshot } from "../api/queries";
import { useNow } from "../app/now";
import { useMay } from "../app/session";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { bytes } from "../lib/format";
import { secondsOf } from "../lib/time";

function Until({ at }: { at: string | null | undefined }) {
  const seconds = secondsOf(at);
  const now = useNow();
  if (seconds === null) return <span className="hf-dim">the next collection</span>;
  return seconds > now ? (
    <Mark tone="amber">
      <Time at={at} />
    </Mark>
  ) : (
    <span>the next collection</span>
  );
}

export function Trash({ group, rs, snapshots }: { group: string; rs: string; snapshots: Snapshot[] }) {
  const may = useMay(group).backup;
  const queries = useQueryClient();
  const { mutate, error, variables, isPending } = useMutation({
    mutationFn: (snapshot: string) =>
      client.POST("/groups/{group}/backups/{rs}/snapshots/{snapshot}/restoreFromTrash", {
        params: { path: { group, rs, snapshot } },
      }),
    onSuccess: async () => {
      say("The snapshot is out of the trash and can be restored again.");
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });
  const columns = useMemo<ColumnDef<Snapshot>[]>(
    () => [
      { id: "at", header: "Time", accessorFn: (s) => s.optime.t, cell: ({ row }) => <Time at={row.original.at} /> },
      { id: "label", header: "Label", accessorFn: (s) => s.label ?? "—" },
      {
        id: "trashed",
        header: "In the trash since",
        accessorFn: (s) => s.trashedAt ?? "",
        cell: ({ row }) => <Time at={row.original.trashedAt} ago />,
      },
      {
        id: "until",
        header: "Can be undone until",
        accessorFn: (s) => s.trashedUntil ?? "",
        cell: ({ row }) => <Until at={row.original.trashedUntil} />,
      },
      {
        id: "unique",
        header: "Its alone",
        meta: { right: true },
        accessorFn: (s) => s.uniqueBytes ?? -1,
        cell: ({ row }) => bytes(row.original.uniqueBytes),
      },
      {
        id: "undo",
        header: "",
        enableSorting: false,
        cell: ({ row: { original: s } }) =>
          may ? (
            <Button
              size="compact-xs"
              variant="default"
              loading={isPending && variables === s.id}
              aria-label={`Take the snapshot of ${s.at} out of the trash`}
              onClick={() => mutate(s.id)}
            >
              Undo
            </Button>
          ) : null,
      },
    ],
    [may, mutate, isPending, variables],
  );
  return (
    <section>
      <Title order={2} mb={4}>
        Trash
      </Title>
      <Text size="sm" className="hf-dim" mb="xs">
        These are not offered for restores. Undo brings one back as it was, until a collection after its date removes it
        for good.
      </Text>
      <ProblemAlert error={error} />
      <DataTable rows={snapshots} columns={columns} label="Snapshots in the trash" rowId={(s) => s.id} />
    </section>
  );
}
