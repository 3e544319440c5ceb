// People of the group: members with roles, invitations, requests to join.
import { Button, Group, Modal, MultiSelect, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import * as access from "../api/access";
import { useMay, useSession } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyLine } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { Page } from "../components/Page";
import { ProblemAlert } from "../components/Problem";
import { Time } from "../components/Time";
import { TakeIn } from "./TakeIn";

export function PeoplePage() {
  const { group } = useParams({ from: "/app/g/$group/people" });
  const may = useMay(group);
  const self = useSession().user.id;
  const queries = useQueryClient();
  const members = useSuspenseQuery({
    queryKey: ["group", group, "members"],
    queryFn: () => access.listMembers(group),
  }).data;
  const invitations = useQuery({
    queryKey: ["group", group, "invitations"],
    queryFn: () => access.listInvitations(group),
    enabled: may.people,
  });
  const requests = useQuery({
    queryKey: ["group", group, "joinRequests"],
    queryFn: () => access.listJoinRequests(group),
    enabled: may.people,
  });
  const [taking, setTaking] = useState<access.JoinRequest | null>(null);
  const [inviting, setInviting] = useState(false);
  const [editing, setEditing] = useState<access.Member | null>(null);
  const [removing, setRemoving] = useState<access.Member | null>(null);
  const renew = () => queries.invalidateQueries({ queryKey: ["group", group] });
  const revoke = useMutation({ mutationFn: (id: string) => access.revokeInvitation(group, id), onSuccess: renew });
  const answer = useMutation({
    mutationFn: ({ id, roles }: { id: string; roles: access.Role[] }) => access.answerJoinRequest(group, id, roles),
    onSuccess: renew,
  });

  const columns = useMemo<ColumnDef<access.Member>[]>(
    () => [
      { id: "name", header: "Name", accessorFn: (m) => m.user.name },
      { id: "email", header: "E-mail", accessorFn: (m) => m.user.email },
      { id: "roles", header: "Roles", accessorFn: (m) => m.roles.map(access.roleLabel).join(", ") },
      {
        id: "since",
        header: "Since",
        accessorFn: (m) => m.since,
        cell: ({ row: { original } }) => <Time at={original.since} />,
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original: m } }) =>
          may.people && m.user.id !== self ? (
            <Group gap={6} wrap="nowrap">
              <Button
                size="compact-xs"
                variant="default"
                aria-label={`Roles of ${m.user.name}`}
                onClick={() => setEditing(m)}
              >
                Roles…
              </Button>
              <Button
                size="compact-xs"
                variant="default"
                aria-label={`Remove ${m.user.name}`}
                onClick={() => setRemoving(m)}
              >
                Remove…
              </Button>
            </Group>
          ) : m.user.id === self ? (
            <span className="hf-dim">you</span>
          ) : null,
      },
    ],
    [may.people, self],
  );
  return (
    <Page
      title="People"
      lead={`Who belongs to ${group}, and what they may do`}
      actions={may.people ? <Button onClick={() => setInviting(true)}>Invite someone</Button> : null}
    >
      <DataTable rows={members} columns={columns} label="Members" rowId={(m) => m.user.id} />
      <ProblemAlert error={revoke.error ?? answer.error ?? invitations.error ?? requests.error} />
      {requests.data?.length ? (
        <section>
          <Title order={2} mb="xs">
            Ask to join
          </Title>
          <ul className="hf-steps hf-rows">
            {requests.data.map((r) => (
              <li key={r.id}>
                <Text size="sm">
                  {r.user.name}, {r.user.email}, <Time at={r.created} ago />
                  {r.message ? `: "${r.message}"` : ""}
                </Text>
                <Group gap={6}>
                  <Button size="compact-sm" aria-label={`Take in ${r.user.name}`} onClick={() => setTaking(r)}>
                    Take in…
                  </Button>
                  <Button size="compact-sm" variant="default" onClick={() => answer.mutate({ id: r.id, roles: [] })}>
                    Decline
                  </Button>
                </Group>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      {invitations.data?.length ? (
        <section>
          <Title order={2} mb="xs">
            Invited
          </Title>
          <ul className="hf-steps hf-rows">
            {invitations.data.map((i) => (
              <li key={i.id}>
                <Text size="sm">
                  {i.email} as {i.roles.map(access.roleLabel).join(", ").toLowerCase()}, by {i.invitedBy}; until{" "}
                  <Time at={i.expires} />
                </Text>
                <Button
                  size="compact-sm"
                  variant="default"
                  aria-label={`Withdraw the invitation of ${i.email}`}
                  onClick={() => revoke.mutate(i.id)}
                >
                  Withdraw
                </Button>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      {taking ? <TakeIn key={taking.id} group={group} request={taking} onClose={() => setTaking(null)} /> : null}
      <Invite group={group} opened={inviting} onClose={() => setInviting(false)} />
      {editing ? <Roles key={editing.user.id} group={group} member={editing} onClose={() => setEditing(null)} /> : null}
      <Confirm
        opened={removing !== null}
        title={`Remove ${removing?.user.name ?? ""} from ${group}`}
        button="Remove"
        onClose={() => setRemoving(null)}
        onConfirm={async () => {
          await access.removeMember(group, removing!.user.id);
          await renew();
        }}
      >
        <p>
          They no longer see the group, from their next request on. Their account stays; they can be invited again. Keys
          of the group that they made go on working: revoke those under API keys.
        </p>
      </Confirm>
    </Page>
  );
}

function Invite({ group, opened, onClose }: { group: string; opened: boolean; onClose: () => void }) {
  const queries = useQueryClient();
  const [email, setEmail] = useState("");
  const [roles, setRoles] = useState<string[]>(["readOnly"]);
  const { grants } = useMay(group);
  const send = useMutation({
    mutationFn: () => access.invite(group, { email, roles: roles as access.Role[] }),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["group", group, "invitations"] }),
  });
  const close = () => {
    send.reset();
    setEmail("");
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title="Invite someone" centered closeButtonProps={{ "aria-label": "Close" }}>
      {send.data ? (
        <Stack>
          <Text size="sm">
            {send.data.mailed
              ? `A mail with the link went to ${send.data.email}.`
              : "No mail server is set: send this link yourself. It is shown this once."}
          </Text>
          {send.data.link ? <CopyLine text={send.data.link} label="Link of the invitation" /> : null}
          <Group justify="flex-end">
            <Button onClick={close}>Close</Button>
          </Group>
        </Stack>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            send.mutate();
          }}
        >
          <Stack>
            <TextInput
              label="E-mail"
              type="email"
              value={email}
              onChange={(e) => setEmail(e.currentTarget.value)}
              data-autofocus
            />
            <MultiSelect label="Roles" data={grants} value={roles} onChange={setRoles} />
            <ProblemAlert error={send.error} />
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                Close
              </Button>
              <Button type="submit" loading={send.isPending} disabled={!email || roles.length === 0}>
                Invite
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Modal>
  );
}

function Roles({ group, member, onClose }: { group: string; member: access.Member; onClose: () => void }) {
  const queries = useQueryClient();
  const [roles, setRoles] = useState<string[]>(member.roles);
  const save = useMutation({
    mutationFn: () => access.setRoles(group, member, roles as access.Role[]),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["group", group, "members"] });
      onClose();
    },
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Roles of ${member.user.name}`}
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Stack>
        <MultiSelect label="Roles" data={access.roleOptions} value={roles} onChange={setRoles} data-autofocus />
        <ProblemAlert
          error={save.error}
          reread={() => void queries.invalidateQueries({ queryKey: ["group", group, "members"] }).then(onClose)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Leave as it is
          </Button>
          <Button loading={save.isPending} disabled={roles.length === 0} onClick={() => save.mutate()}>
            Save
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
