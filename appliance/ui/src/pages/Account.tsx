// One's own account: name, password, second factor, sessions, groups, how times and colours are shown.
import {
  Button,
  Group,
  PasswordInput,
  SegmentedControl,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
  Title,
  useMantineColorScheme,
} from "@mantine/core";
import { useMutation, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import * as access from "../api/access";
import { sessionQuery } from "../api/queries";
import { useSession } from "../app/session";
import { useZone } from "../app/zone";
import { DataTable } from "../components/DataTable";
import { Page } from "../components/Page";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { browserZone } from "../lib/time";
import { OwnAddress } from "./OwnAddress";
import { OwnGroups } from "./OwnGroups";
import { OwnKeys } from "./OwnKeys";
import { SecondFactor } from "./SecondFactor";

export function AccountPage() {
  const session = useSession();
  return (
    <Page title="Account" lead={session.user.email}>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <Name />
        <Shown />
        <OwnAddress />
        {session.origin === "local" ? <Password /> : <PasswordElsewhere origin={session.origin} />}
        <SecondFactor />
      </SimpleGrid>
      <Sessions />
      <OwnKeys />
      <OwnGroups />
    </Page>
  );
}

function Shown() {
  const { isUtc, setUtc } = useZone();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        How things are shown here
      </Title>
      <Stack gap="sm">
        <SegmentedControl
          aria-label="Zone of times"
          value={isUtc ? "utc" : "local"}
          onChange={(value) => setUtc(value === "utc")}
          data={[
            { value: "local", label: `Mine: ${browserZone()}` },
            { value: "utc", label: "UTC" },
          ]}
        />
        <SegmentedControl
          aria-label="Colours"
          value={colorScheme}
          onChange={(value) => setColorScheme(value as typeof colorScheme)}
          data={[
            { value: "auto", label: "As the system" },
            { value: "light", label: "Light" },
            { value: "dark", label: "Dark" },
          ]}
        />
        <Text size="xs" className="hf-dim">
          Kept in this browser. A time's UTC is always a hover away.
        </Text>
      </Stack>
    </section>
  );
}

function Name() {
  const session = useSession();
  const queries = useQueryClient();
  const [name, setName] = useState(session.user.name);
  const save = useMutation({
    mutationFn: () => access.changeAccount({ name }),
    onSuccess: () => queries.invalidateQueries({ queryKey: sessionQuery.queryKey }),
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Name
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          <TextInput
            label="As others see it"
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
            autoComplete="name"
          />
          <ProblemAlert error={save.error} />
          <Group>
            <Button
              type="submit"
              variant="default"
              loading={save.isPending}
              disabled={!name || name === session.user.name}
            >
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}

function PasswordElsewhere({ origin }: { origin: string }) {
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Password
      </Title>
      <Text size="sm">
        You sign in by {origin === "ldap" ? "your directory" : "your provider"}: there is no password of yours here, and
        none to change.
      </Text>
    </section>
  );
}

function Password() {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const save = useMutation({
    mutationFn: () => access.changePassword({ current, new: next }),
    onSuccess: () => {
      setCurrent("");
      setNext("");
      say("The password is changed; your other sessions have ended.");
    },
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        Password
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack gap="sm">
          <PasswordInput
            label="Present password"
            autoComplete="current-password"
            value={current}
            onChange={(e) => setCurrent(e.currentTarget.value)}
          />
          <PasswordInput
            label="New password"
            autoComplete="new-password"
            value={next}
            onChange={(e) => setNext(e.currentTarget.value)}
          />
          <ProblemAlert error={save.error} />
          <Group>
            <Button type="submit" variant="default" loading={save.isPending} disabled={!current || !next}>
              Change the password
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}

function Sessions() {
  const queries = useQueryClient();
  const sessions = useSuspenseQuery({ queryKey: ["account", "sessions"], queryFn: access.listSessions }).data;
  const renew = () => queries.invalidateQueries({ queryKey: ["account", "sessions"] });
  const end = useMutation({ mutationFn: access.endSession, onSuccess: renew });
  const others = useMutation({ mutationFn: access.endOtherSessions, onSuccess: renew });
  const { mutate } = end;
  const columns = useMemo<ColumnDef<access.OpenSession>[]>(
    () => [
      { id: "agent", header: "Browser", meta: { wrap: true }, accessorFn: (s) => browserOf(s.agent) },
      { id: "address", header: "From", accessorFn: (s) => s.address },
      {
        id: "created",
        header: "Begun",
        accessorFn: (s) => s.created,
        cell: ({ row: { original } }) => <Time at={original.created} />,
      },
      {
        id: "seen",
        header: "Last used",
        accessorFn: (s) => s.lastSeen,
        cell: ({ row: { original } }) => <Time at={original.lastSeen} ago />,
      },
      {
        id: "expires",
        header: "Ends",
        accessorFn: (s) => s.expires,
        cell: ({ row: { original } }) => <Time at={original.expires} />,
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original: s } }) =>
          s.current ? (
            <span className="hf-dim">this one</span>
          ) : (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`End the session from ${s.address}`}
              onClick={() => mutate(s.id)}
            >
              End
            </Button>
          ),
      },
    ],
    [mutate],
  );
  return (
    <section>
      <Group justify="space-between" mb="xs">
        <Title order={2}>Sessions</Title>
        {sessions.length > 1 ? (
          <Button size="compact-sm" variant="default" loading={others.isPending} onClick={() => others.mutate()}>
            End all others
          </Button>
        ) : null}
      </Group>
      <ProblemAlert error={end.error ?? others.error} />
      <DataTable rows={sessions} columns={columns} label="Sessions" rowId={(s) => s.id} />
    </section>
  );
}

/** What a browser says of itself, shortened to what people call it. */
function browserOf(agent: string): string {
  const name = /(Firefox|Edg|OPR|Chrome|Safari)\/?(\d+)?/.exec(agent);
  const system = /(Windows|Mac OS X|Android|iPhone|Linux)/.exec(agent);
  if (!name) return agent || "unknown";
  const words: Record<string, string> = { Edg: "Edge", OPR: "Opera" };
  return `${words[name[1]!] ?? name[1]}${name[2] ? ` ${name[2]}` : ""}${system ? ` on ${system[1]}` : ""}`;
}
