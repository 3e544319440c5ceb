// The push of a restore to an SFTP target: how far it is, call it off, push again or to one more target.
import { Button, Group, Select, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Restore } from "../api/queries";
import { cancelPush, push, sftpTargetsQuery, type Delivery } from "../api/sftp";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyLine } from "../components/CopyLine";
import { Job, type Phase } from "../components/Job";
import { Link } from "../components/Link";
import { Mark, type Tone } from "../components/Mark";
import { ProblemAlert } from "../components/Problem";
import { bytes, counted, sentence } from "../lib/format";

const STATES: Record<string, { tone: Tone; word: string }> = {
  waiting: { tone: "grey", word: "Waits" },
  sending: { tone: "grey", word: "Is being pushed" },
  delivered: { tone: "ring", word: "Delivered" },
  failed: { tone: "red", word: "Not delivered" },
  cancelled: { tone: "off", word: "Called off" },
};
export const deliveryState = (state: string) => STATES[state] ?? { tone: "grey" as Tone, word: state };
/** True while it still changes by itself. */
export const isOpen = (delivery: Delivery | null | undefined): boolean =>
  delivery?.state === "waiting" || delivery?.state === "sending";

/** The steps of a push. What broke and is tried again waits: its reason stands beside it. */
export function phasesOf(delivery: Delivery, made: boolean): Phase[] {
  const { state, sentBytes, totalBytes } = delivery;
  const progress = { done: sentBytes, total: totalBytes ?? 0, unit: "bytes" };
  const sent = state === "delivered" ? "done" : state === "failed" ? "failed" : made ? "running" : "waiting";
  return [
    { label: "Restore made", state: made ? "done" : "running" },
    {
      label: `Push to ${delivery.target}`,
      state: state === "cancelled" ? "waiting" : sent,
      progress: state === "sending" || (state === "waiting" && sentBytes > 0) ? progress : null,
      detail: delivery.attempts > 1 ? `attempt ${delivery.attempts}, gone on with where the one before came to` : null,
    },
    { label: "Sums written, file named", state: state === "delivered" ? "done" : "waiting" },
  ];
}

export function DeliveryPanel({ group, restore }: { group: string; restore: Restore }) {
  const may = useMay(group);
  const queries = useQueryClient();
  const [calling, setCalling] = useState(false);
  const { delivery } = restore;
  const ready = restore.state === "ready";
  const renew = () => queries.invalidateQueries({ queryKey: ["restore", restore.id] });
  if (!delivery && !(ready && may.backup)) return null;
  const open = isOpen(delivery);
  return (
    <section className="hf-panel" aria-label="Push by SFTP">
      <Title order={2} mb="sm">
        {delivery ? `Push to ${delivery.target}` : "Push it by SFTP"}
      </Title>
      <Stack gap="sm">
        {delivery ? <Pushed delivery={delivery} made={ready || restore.state === "expired"} /> : null}
        {open && may.backup ? (
          <Group>
            <Button variant="default" onClick={() => setCalling(true)}>
              Call off this push…
            </Button>
          </Group>
        ) : null}
        {ready && !open && may.backup ? <PushAgain group={group} restore={restore} onAsked={renew} /> : null}
      </Stack>
      <Confirm
        opened={calling}
        title="Call off this push"
        button="Call it off"
        onClose={() => setCalling(false)}
        onConfirm={async () => {
          await cancelPush(restore.id);
          await renew();
        }}
      >
        What was sent stays at {delivery?.target} as <code>{delivery?.path}.part</code> and has no name of its own. The
        restore and its link stay; it can be pushed again, and goes on from there.
      </Confirm>
    </section>
  );
}

function Pushed({ delivery, made }: { delivery: Delivery; made: boolean }) {
  const { tone, word } = deliveryState(delivery.state);
  return (
    <>
      <Text fw={600} aria-live="polite">
        <Mark tone={tone}>{word}</Mark>
      </Text>
      {delivery.error ? (
        <Text size="sm" data-testid="delivery-error">
          {sentence(delivery.error)}
          {delivery.state === "waiting" ? ". It is tried again by itself." : ""}
        </Text>
      ) : null}
      {isOpen(delivery) ? <Job phases={phasesOf(delivery, made)} /> : null}
      {delivery.state === "delivered" ? (
        <>
          <Text size="sm">
            {bytes(delivery.sentBytes)} lie there, in {counted(delivery.attempts, "attempt")}; the BLAKE3 sum of every
            file in it stands in <code>{delivery.path}.sums</code>.
          </Text>
          <CopyLine text={delivery.path} label="Path at the server" />
        </>
      ) : null}
    </>
  );
}

function PushAgain({ group, restore, onAsked }: { group: string; restore: Restore; onAsked: () => Promise<unknown> }) {
  const targets = useQuery(sftpTargetsQuery(group));
  const names = targets.data?.map((target) => target.name) ?? [];
  const [chosen, setChosen] = useState<string | null>(null);
  const before = restore.delivery?.target;
  const target = chosen ?? (before !== undefined && names.includes(before) ? before : (names[0] ?? null));
  const ask = useMutation({ mutationFn: () => push(restore.id, target ?? ""), onSuccess: onAsked });
  if (targets.data && !names.length) {
    return (
      <Text size="sm">
        No server is known.{" "}
        <Link to="/g/$group/sftp" params={{ group }}>
          Add an SFTP target
        </Link>
        , then it can be pushed there.
      </Text>
    );
  }
  return (
    <>
      <ProblemAlert error={targets.error ?? ask.error} />
      <Group align="flex-end">
        <Select label="SFTP target" data={names} value={target} onChange={setChosen} allowDeselect={false} w={220} />
        <Button variant="default" disabled={!target} loading={ask.isPending} onClick={() => ask.mutate()}>
          {restore.delivery && target === before ? "Push it again" : "Push it"}
        </Button>
      </Group>
    </>
  );
}
