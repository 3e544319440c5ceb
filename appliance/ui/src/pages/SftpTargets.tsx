// SFTP targets of the group: the public key to put on the servers, the servers with the host key that was confirmed, a test, removal.
import { Button, Group, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { removeTarget, serverOf, sftpKeyQuery, sftpTargetsQuery, testTarget, type SftpTarget } from "../api/sftp";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyId, CopyLine } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { bytes } from "../lib/format";
import { AddSftpTarget } from "./AddSftpTarget";

export function SftpTargetsPage() {
  const { group } = useParams({ from: "/app/g/$group/sftp" });
  const targets = useSuspenseQuery(sftpTargetsQuery(group)).data;
  const key = useQuery(sftpKeyQuery(group));
  const may = useMay(group);
  const queries = useQueryClient();
  const [adding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<SftpTarget | null>(null);
  const test = useMutation({
    mutationFn: (target: SftpTarget) => testTarget(group, target.name),
    onSuccess: ({ freeBytes }, { name }) =>
      say(
        `${name} lets the appliance in${freeBytes === null || freeBytes === undefined ? "" : `; ${bytes(freeBytes)} are free there`}.`,
      ),
  });
  const { mutate, isPending, variables } = test;
  const columns = useMemo<ColumnDef<SftpTarget>[]>(
    () => [
      { id: "name", header: "Name", accessorFn: (t) => t.name },
      { id: "server", header: "Server", meta: { wrap: true }, accessorFn: serverOf },
      { id: "folder", header: "Folder", meta: { wrap: true }, accessorFn: (t) => t.folder || "the user's home" },
      {
        id: "key",
        header: "Host key",
        enableSorting: false,
        cell: ({ row: { original } }) => <CopyId id={original.fingerprint} short={16} />,
      },
      {
        id: "added",
        header: "Added",
        accessorFn: (t) => t.created,
        cell: ({ row: { original } }) => (
          <>
            <Time at={original.created} ago /> by {original.createdBy}
          </>
        ),
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) =>
          may.backup ? (
            <Group gap={4} wrap="nowrap">
              <Button
                size="compact-xs"
                variant="default"
                aria-label={`Test ${original.name}`}
                loading={isPending && variables.name === original.name}
                onClick={() => mutate(original)}
              >
                Test
              </Button>
              <Button
                size="compact-xs"
                variant="default"
                aria-label={`Remove ${original.name}`}
                onClick={() => setRemoving(original)}
              >
                Remove…
              </Button>
            </Group>
          ) : null,
      },
    ],
    [may.backup, isPending, variables, mutate],
  );
  const add = may.backup ? <Button onClick={() => setAdding(true)}>Add a target</Button> : null;
  return (
    <Page
      title="SFTP targets"
      lead="Servers to which restores are pushed."
      actions={targets.length && !adding ? add : null}
    >
      {adding ? <AddSftpTarget group={group} onClose={() => setAdding(false)} /> : null}
      <ProblemAlert error={test.error} />
      {targets.length ? (
        <DataTable rows={targets} columns={columns} label="SFTP targets" rowId={(t) => t.name} />
      ) : adding ? null : (
        <Empty title="No target yet" action={add ?? <Mark tone="off">Only a backup admin can add one</Mark>}>
          Any server with OpenSSH and a user whose folder has room will do. A restore that is made goes there by itself,
          and goes on where it was when the connection breaks.
        </Empty>
      )}
      <section className="hf-panel">
        <Title order={2} mb="xs">
          Public key of this group
        </Title>
        <Stack gap="xs">
          <Text size="sm" maw="80ch">
            Append this line to <code>~/.ssh/authorized_keys</code> of the user at each server. The private half never
            leaves the appliance; other groups have keys of their own.
          </Text>
          <ProblemAlert error={key.error} />
          {key.data ? <CopyLine text={key.data.publicKey} label="Public key of this group" /> : null}
          <Text size="xs" className="hf-dim" maw="80ch">
            To allow this key nothing but files, put <code>restrict,command=&quot;internal-sftp&quot;</code> and a space
            before it.
          </Text>
        </Stack>
      </section>
      <Confirm
        opened={removing !== null}
        title={`Remove ${removing?.name ?? ""}`}
        button="Remove it"
        onClose={() => setRemoving(null)}
        onConfirm={async () => {
          await removeTarget(group, removing!.name);
          await queries.invalidateQueries({ queryKey: ["group", group, "sftp"] });
        }}
      >
        <p>
          Pushes to {removing ? serverOf(removing) : "it"} that are under way fail. What was pushed stays there. The
          target can be added again, with its host key confirmed anew.
        </p>
      </Confirm>
    </Page>
  );
}
