// How the agent reads and sends, and where the head lies: member, bandwidth by hours, labels of daemons, move to another daemon.
import { Button, Group, NumberInput, Select, Stack, TagsInput, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, ifSeen, revisionOf } from "../api/client";
import { daemonsQuery, deploymentsQuery, type Backup } from "../api/queries";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { memberNote } from "../components/Topology";

type Rule = Backup["settings"]["bandwidth"][number];
/** Bytes of a MiB: limits are shown in MiB a second. */
const MIB = 1 << 20;
const RULES_MAX = 48;

/** The revision of the settings that forms of one backup have seen, and what they tell each other of it. */
export interface Seen {
  revision: number;
  /** A form has saved; what it saved is seen. */
  saved: (revision: number | undefined) => void;
  /** Shows what is there now. */
  again: () => void;
}

interface Props {
  group: string;
  rs: string;
  /** As the form begins with it. */
  backup: Backup;
  seen: Seen;
  /** The daemon that holds the head now. */
  daemon: string | null;
}

export function BackupPlacement({ group, rs, backup, seen, daemon }: Props) {
  const may = useMay(group);
  const queries = useQueryClient();
  const [saved, setSaved] = useState(backup.settings);
  const [member, setMember] = useState<string | null>(saved.member ?? null);
  const [rules, setRules] = useState<Rule[]>(saved.bandwidth);
  const [labels, setLabels] = useState<string[]>(saved.labels);
  const deployments = useQuery(deploymentsQuery(group)).data ?? [];
  const members = deployments.find((d) => d.rs === rs)?.members ?? [];
  const daemons = useQuery({ ...daemonsQuery, enabled: may.daemons }).data ?? [];
  const save = useMutation({
    mutationFn: () =>
      client.PATCH("/groups/{group}/backups/{rs}", {
        params: { path: { group, rs } },
        body: { member, bandwidth: rules, labels },
        ...ifSeen(seen.revision),
      }),
    onSuccess: async ({ data: now, response }) => {
      if (now) setSaved(now);
      seen.saved(revisionOf(response));
      say("Saved. The agent follows it within half a minute.");
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });
  const changed =
    member !== (saved.member ?? null) ||
    JSON.stringify(rules) !== JSON.stringify(saved.bandwidth) ||
    JSON.stringify(labels) !== JSON.stringify(saved.labels);
  const hosts = members.map((m) => ({ value: m.host, label: `${m.host} (${memberNote(m)})` }));
  const change = (n: number, part: Partial<Rule>) =>
    setRules((old) => old.map((rule, at) => (at === n ? { ...rule, ...part } : rule)));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="lg" maw={860}>
        <section>
          <Title order={2} mb="xs">
            Reading and sending
          </Title>
          <Select
            label="The agent reads from"
            description="Left to itself it takes a hidden member, then a secondary, then the primary"
            placeholder="the agent chooses"
            data={
              member && !hosts.some((h) => h.value === member) ? [...hosts, { value: member, label: member }] : hosts
            }
            value={member}
            onChange={setMember}
            clearable
            maw={420}
            disabled={!may.backup}
          />
          <Text size="sm" fw={500} mt="md">
            Limits by hours
          </Text>
          <Text size="xs" className="hf-dim" mb="xs">
            Hours of the agent’s own clock; outside of them it sends as fast as it can. A limit slower than the writes
            makes the newest seconds late.
          </Text>
          <Stack gap="xs">
            {rules.map((rule, n) => (
              <Group key={n} align="flex-end" gap="xs">
                <NumberInput
                  label="From"
                  suffix=":00"
                  w={90}
                  min={0}
                  max={23}
                  value={rule.fromHour}
                  disabled={!may.backup}
                  onChange={(v) => change(n, { fromHour: Number(v) || 0 })}
                />
                <NumberInput
                  label="To"
                  suffix=":00"
                  w={90}
                  min={0}
                  max={24}
                  value={rule.toHour}
                  disabled={!may.backup}
                  onChange={(v) => change(n, { toHour: Number(v) || 0 })}
                />
                <NumberInput
                  label="At most"
                  suffix=" MiB/s"
                  w={130}
                  min={0.0625}
                  decimalScale={3}
                  value={rule.bytesPerSecond / MIB}
                  disabled={!may.backup}
                  onChange={(v) => change(n, { bytesPerSecond: Math.max(65_536, Math.round(Number(v) * MIB)) })}
                />
                {may.backup ? (
                  <Button
                    variant="default"
                    aria-label={`Take limit ${n + 1} away`}
                    onClick={() => setRules((old) => old.filter((_, at) => at !== n))}
                  >
                    Take away
                  </Button>
                ) : null}
              </Group>
            ))}
            {may.backup && rules.length < RULES_MAX ? (
              <div>
                <Button
                  variant="default"
                  size="compact-sm"
                  onClick={() => setRules((old) => [...old, { fromHour: 8, toHour: 18, bytesPerSecond: 10 * MIB }])}
                >
                  Add a limit
                </Button>
              </div>
            ) : null}
          </Stack>
        </section>
        <section>
          <Title order={2} mb="xs">
            Daemon
          </Title>
          <TagsInput
            label="Labels that its daemon must have"
            description="They count when the head is placed: at the next start or move. A head that is placed stays."
            data={[...new Set(daemons.flatMap((d) => d.labels))]}
            value={labels}
            onChange={setLabels}
            maxTags={20}
            disabled={!may.backup}
            maw={420}
          />
        </section>
        <ProblemAlert error={save.error} reread={seen.again} />
        {may.backup ? (
          <Group>
            <Button type="submit" loading={save.isPending} disabled={!changed}>
              Save
            </Button>
            <Move group={group} rs={rs} from={daemon} names={daemons.map((d) => d.name)} />
          </Group>
        ) : null}
      </Stack>
    </form>
  );
}

function Move({ group, rs, from, names }: { group: string; rs: string; from: string | null; names: string[] }) {
  const queries = useQueryClient();
  const others = names.filter((name) => name !== from);
  const [to, setTo] = useState<string | null>(null);
  const [opened, setOpened] = useState(false);
  if (others.length === 0) return null;
  return (
    <>
      <Select
        aria-label="Daemon to move to"
        placeholder="another daemon"
        data={others}
        value={to}
        onChange={setTo}
        w={200}
      />
      <Button variant="default" disabled={!to} onClick={() => setOpened(true)}>
        Move the head…
      </Button>
      <Confirm
        opened={opened}
        title={`Move the head of ${rs}`}
        button={`Move it to ${to ?? ""}`}
        onClose={() => setOpened(false)}
        onConfirm={async () => {
          await client.POST("/groups/{group}/backups/{rs}/move", {
            params: { path: { group, rs } },
            body: { daemon: to ?? "" },
          });
          say("The daemon hands it over.");
          await queries.invalidateQueries({ queryKey: ["group", group] });
        }}
      >
        <p>
          {to} makes the head anew from the last snapshot and the stored writes; the databases are not read again.
          Nothing that can be restored is lost, and writes go on being stored meanwhile; snapshots wait until the head
          is there.
        </p>
        <p>It can be moved back in the same way.</p>
      </Confirm>
    </>
  );
}
