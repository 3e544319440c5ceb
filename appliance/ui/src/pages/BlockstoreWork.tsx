// Long work on the blockstore: collect, say what a collection or another retention would free, verify. Asked for here, done by a daemon.
import { Button, Group, NumberInput, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { askWork, cancelWork, workQuery, type Work } from "../api/appliance";
import type { Retention } from "../api/queries";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { ProgressLine } from "../components/Job";
import { Mark, type Tone } from "../components/Mark";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { facts } from "../lib/facts";
import { sentence } from "../lib/format";

const KINDS: Record<string, string> = {
  collect: "Collection",
  plan: "What a collection would free",
  whatIf: "What another retention would free",
  verify: "Verification",
  move: "Move of payloads",
};
const STATES: Record<string, { word: string; tone: Tone }> = {
  queued: { word: "Waits for a daemon", tone: "off" },
  running: { word: "Runs", tone: "grey" },
  done: { word: "Done", tone: "ring" },
  failed: { word: "Failed", tone: "red" },
  cancelled: { word: "Called off", tone: "off" },
};

const RETENTION: { name: keyof Retention; label: string; suffix: string }[] = [
  { name: "recentHours", label: "Every snapshot", suffix: " h" },
  { name: "sixHourlyDays", label: "Six-hourly", suffix: " days" },
  { name: "dailyDays", label: "Daily", suffix: " days" },
  { name: "weeklyWeeks", label: "Weekly", suffix: " weeks" },
  { name: "monthlyMonths", label: "Monthly", suffix: " months" },
  { name: "oplogWindowDays", label: "Any second", suffix: " days" },
];

function WhatIf({ ask, busy }: { ask: (retention: Retention) => void; busy: boolean }) {
  const [form, setForm] = useState<Retention>({
    recentHours: 24,
    sixHourlyDays: 2,
    dailyDays: 7,
    weeklyWeeks: 4,
    monthlyMonths: 3,
    oplogWindowDays: 2,
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        ask(form);
      }}
    >
      <Title order={2} size="h4" mb={4}>
        What would another retention free?
      </Title>
      <Text size="sm" className="hf-dim" mb="xs">
        Counted over all backups. Nothing is changed by asking.
      </Text>
      <SimpleGrid cols={{ base: 2, sm: 3, md: 6 }}>
        {RETENTION.map(({ name, label, suffix }) => (
          <NumberInput
            key={name}
            label={label}
            suffix={suffix}
            min={0}
            max={3650}
            value={form[name]}
            onChange={(value) => setForm((old) => ({ ...old, [name]: Number(value) || 0 }))}
          />
        ))}
      </SimpleGrid>
      <Button type="submit" variant="default" mt="sm" loading={busy}>
        Count it
      </Button>
    </form>
  );
}

export function BlockstoreWork() {
  const may = useMay(undefined);
  const queries = useQueryClient();
  const work = useQuery(workQuery);
  const [collecting, setCollecting] = useState(false);
  const renew = () => queries.invalidateQueries({ queryKey: ["blockstore"] });
  const ask = useMutation({
    mutationFn: askWork,
    onSuccess: async () => {
      say("Asked for. A daemon takes it up within seconds.");
      await renew();
    },
  });
  const cancel = useMutation({ mutationFn: cancelWork, onSuccess: renew });
  return (
    <Stack>
      {may.backup ? (
        <section className="hf-panel">
          <Stack>
            <Group>
              {may.owner ? <Button onClick={() => setCollecting(true)}>Collect garbage…</Button> : null}
              <Button variant="default" loading={ask.isPending} onClick={() => ask.mutate({ kind: "plan" })}>
                Say what that would free
              </Button>
              <Button variant="default" loading={ask.isPending} onClick={() => ask.mutate({ kind: "verify" })}>
                Read everything back
              </Button>
            </Group>
            <WhatIf busy={ask.isPending} ask={(retention) => ask.mutate({ kind: "whatIf", retention })} />
            <ProblemAlert error={ask.error ?? cancel.error} />
          </Stack>
        </section>
      ) : null}
      <ProblemAlert error={work.error} />
      {work.isPending ? (
        <Waiting what="Reading the requests" />
      ) : work.data?.length ? (
        <ol className="hf-steps hf-rows" aria-label="Requests">
          {work.data.map((one) => (
            <Line key={one.id} work={one} cancel={may.owner ? () => cancel.mutate(one.id) : undefined} />
          ))}
        </ol>
      ) : work.error ? null : (
        <Empty title="Nothing was asked for yet">
          Collection and verification run by themselves, on schedule. What is asked for here appears with its progress
          and stays for 30 days with what it found.
        </Empty>
      )}
      <Confirm
        opened={collecting}
        title="Collect garbage now"
        button="Collect garbage"
        onClose={() => setCollecting(false)}
        onConfirm={() => ask.mutateAsync({ kind: "collect" })}
      >
        Snapshots in the trash that are past their grace are removed for good, and the blocks that only they need are
        freed. That cannot be undone. Snapshots that are not in the trash, and those within their grace, stay.
      </Confirm>
    </Stack>
  );
}

function Line({ work, cancel }: { work: Work; cancel: (() => void) | undefined }) {
  const state = STATES[work.state] ?? { word: work.state, tone: "off" as const };
  const found = work.result ? facts(work.result as Record<string, unknown>) : [];
  const of = work.work as { snapshot?: string | null; from?: number; to?: number };
  const what =
    work.kind === "move"
      ? `Payloads of store ${of.from} move to store ${of.to}`
      : `${KINDS[work.kind] ?? work.kind}${of.snapshot ? ` of snapshot ${of.snapshot}` : ""}`;
  const open = work.state === "queued" || work.state === "running";
  return (
    <li>
      <div style={{ flex: "1 1 320px", minWidth: 0 }}>
        <Group gap="sm">
          <Mark tone={state.tone}>{state.word}</Mark>
          <Text size="sm" fw={500}>
            {what}
          </Text>
        </Group>
        <Text size="xs" className="hf-dim" component="div">
          <Time at={work.askedAt} /> · asked for by {work.askedBy}
          {work.endedAt ? (
            <>
              {" "}
              · ended <Time at={work.endedAt} />
            </>
          ) : null}
        </Text>
        {work.error ? <Text size="sm">{sentence(work.error)}</Text> : null}
        {found.length ? (
          <details>
            <summary>What it found and did</summary>
            <dl className="hf-facts" style={{ marginTop: 8 }}>
              {found.map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd className="hf-num">{value}</dd>
                </div>
              ))}
            </dl>
          </details>
        ) : null}
      </div>
      {work.state === "running" ? (
        <div style={{ flex: "1 1 240px", maxWidth: 420 }}>
          <Text size="xs">{sentence(work.progress.phase)}</Text>
          {work.progress.unit ? <ProgressLine progress={work.progress} label={what} /> : null}
        </div>
      ) : null}
      {open && cancel ? (
        <Button size="compact-xs" variant="default" aria-label={`Call off: ${what}`} onClick={cancel}>
          Call off
        </Button>
      ) : null}
    </li>
  );
}
