// Accounts of the appliance: global roles, shut and opened again, second factor taken away when a phone is lost.
import { Button, Checkbox, Group, Modal, MultiSelect, Stack, Text, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import * as access from "../api/access";
import { useSession } from "../app/session";
import { CopyLine } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";

export function UsersPage() {
  const self = useSession().user.id;
  const [making, setMaking] = useState(false);
  const [editing, setEditing] = useState<access.User | null>(null);
  const pages = useInfiniteQuery({
    queryKey: ["users"],
    queryFn: ({ pageParam }) => access.listUsers(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
  });
  const rows = useMemo(() => pages.data?.pages.flatMap((page) => page.users) ?? [], [pages.data]);
  const columns = useMemo<ColumnDef<access.User>[]>(
    () => [
      { id: "name", header: "Name", accessorFn: (u) => u.name },
      { id: "email", header: "E-mail", accessorFn: (u) => u.email },
      {
        id: "roles",
        header: "Over the appliance",
        accessorFn: (u) => u.globalRoles.map(access.roleLabel).join(", ") || "—",
      },
      {
        id: "state",
        header: "State",
        accessorFn: (u) => String(u.disabled),
        cell: ({ row: { original } }) =>
          original.disabled ? <Mark tone="off">Shut</Mark> : <Mark tone="ring">Open</Mark>,
      },
      { id: "totp", header: "Second factor", accessorFn: (u) => (u.totp ? "yes" : "no") },
      {
        id: "created",
        header: "Made",
        accessorFn: (u) => u.created,
        cell: ({ row: { original } }) => <Time at={original.created} />,
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original: u } }) =>
          u.id === self ? (
            <span className="hf-dim">you</span>
          ) : (
            <Button size="compact-xs" variant="default" aria-label={`Change ${u.name}`} onClick={() => setEditing(u)}>
              Change…
            </Button>
          ),
      },
    ],
    [self],
  );
  return (
    <Page
      title="Users"
      lead="Accounts of this appliance"
      actions={<Button onClick={() => setMaking(true)}>Make an account</Button>}
    >
      <ProblemAlert error={pages.error} />
      {pages.isPending ? (
        <Waiting what="Reading the accounts" />
      ) : (
        <DataTable rows={rows} columns={columns} label="Users" rowId={(u) => u.id} />
      )}
      {pages.hasNextPage ? (
        <Group>
          <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
            More
          </Button>
        </Group>
      ) : null}
      {making ? <Make onClose={() => setMaking(false)} /> : null}
      {editing ? <Change key={editing.id} user={editing} onClose={() => setEditing(null)} /> : null}
    </Page>
  );
}

function Make({ onClose }: { onClose: () => void }) {
  const queries = useQueryClient();
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [roles, setRoles] = useState<string[]>([]);
  const make = useMutation({
    mutationFn: () => access.createUser({ email, name, globalRoles: roles as access.Role[] }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["users"] }),
  });
  return (
    <Modal opened onClose={onClose} title="Make an account" centered closeButtonProps={{ "aria-label": "Close" }}>
      {make.data ? (
        <Stack>
          <Text size="sm">
            {make.data.mailed
              ? `A mail with a link went to ${make.data.user.email}.`
              : "No mail server is set: send this link yourself. It is shown this once and lets them choose a password."}
          </Text>
          {make.data.link === null || make.data.link === undefined ? null : (
            <CopyLine text={make.data.link} label="Link to choose a password" />
          )}
          <Group justify="flex-end">
            <Button onClick={onClose}>Close</Button>
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
            <TextInput label="Name" value={name} onChange={(e) => setName(e.currentTarget.value)} data-autofocus />
            <TextInput label="E-mail" type="email" value={email} onChange={(e) => setEmail(e.currentTarget.value)} />
            <MultiSelect
              label="Roles over the whole appliance"
              description="Most people need none: their roles are in their groups"
              data={access.roleOptions}
              value={roles}
              onChange={setRoles}
            />
            <ProblemAlert error={make.error} />
            <Group justify="flex-end">
              <Button variant="default" onClick={onClose}>
                Close
              </Button>
              <Button type="submit" loading={make.isPending} disabled={!email || !name}>
                Make the account
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}

function Change({ user, onClose }: { user: access.User; onClose: () => void }) {
  const queries = useQueryClient();
  const [roles, setRoles] = useState<string[]>(user.globalRoles);
  const [disabled, setDisabled] = useState(user.disabled);
  const [resetTotp, setReset] = useState(false);
  const save = useMutation({
    mutationFn: () => access.changeUser(user, { globalRoles: roles as access.Role[], disabled, resetTotp }),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["users"] });
      onClose();
    },
  });
  return (
    <Modal opened onClose={onClose} title={user.name} centered closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <MultiSelect
          label="Roles over the whole appliance"
          data={access.roleOptions}
          value={roles}
          onChange={setRoles}
        />
        <Checkbox
          label="Shut: cannot sign in, sessions and keys stop at once"
          checked={disabled}
          onChange={(e) => setDisabled(e.currentTarget.checked)}
        />
        {user.totp ? (
          <Checkbox
            label="Take away the second factor (a phone was lost)"
            checked={resetTotp}
            onChange={(e) => setReset(e.currentTarget.checked)}
          />
        ) : null}
        <ProblemAlert
          error={save.error}
          reread={() => void queries.invalidateQueries({ queryKey: ["users"] }).then(onClose)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Leave as it is
          </Button>
          <Button loading={save.isPending} onClick={() => save.mutate()}>
            Save
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
