// What is promised: how far back, how much may be lost, how fast it is back. The verdicts measure against it.
import { Button, Group, NumberInput, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, ifSeen } from "../api/client";
import { readPolicies, policiesKey, type Policy } from "../api/queries";
import { useBegun } from "../app/begun";
import { useMay } from "../app/session";
import { ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";
import { duration } from "../lib/time";

type Part = keyof Policy;

const PARTS: { key: Part; label: string; unit: string; seconds: number; max: number; none: string }[] = [
  {
    key: "recoveryWindowSeconds",
    label: "Every second of the last",
    unit: "days",
    seconds: 86_400,
    max: 3650,
    none: "not promised",
  },
  { key: "unprotectedSeconds", label: "Lost at most the last", unit: "min", seconds: 60, max: 10_080, none: "15 min" },
  { key: "restoreSeconds", label: "Restored within", unit: "min", seconds: 60, max: 10_080, none: "not promised" },
];

interface FieldsProps {
  policy: Policy;
  onChange: (policy: Policy) => void;
  disabled?: boolean;
  /** What counts where a part is left empty, and who says so. */
  above?: { policy: Policy; who: string };
}

/** The three promises, as fields of a form. */
export function PolicyFields({ policy, onChange, disabled, above }: FieldsProps) {
  return (
    <SimpleGrid cols={{ base: 1, xs: 3 }}>
      {PARTS.map(({ key, label, unit, seconds, max, none }) => {
        const other = above?.policy[key];
        return (
          <NumberInput
            key={key}
            label={label}
            suffix={` ${unit}`}
            placeholder={other ? `${duration(other)} (${above.who})` : none}
            value={policy[key] ? policy[key] / seconds : ""}
            min={0}
            max={max}
            decimalScale={2}
            disabled={disabled}
            onChange={(value) =>
              onChange({ ...policy, [key]: Number(value) ? Math.round(Number(value) * seconds) : null })
            }
          />
        );
      })}
    </SimpleGrid>
  );
}

/** What is promised in a group, or of one of its backups. */
export function PolicyForm({ group, rs }: { group: string; rs?: string }) {
  const { begun, round, again, error } = useBegun(policiesKey(group), () => readPolicies(group));
  if (!begun) return error ? <ProblemAlert error={error} /> : <Waiting what="Reading what is promised" />;
  const own = rs === undefined ? undefined : begun.backups.find((backup) => backup.rs === rs);
  if (rs !== undefined && !own) return null;
  // Of a backup that leaves a part empty the group's counts, and where that is empty the appliance's.
  const ofGroup: Policy = Object.fromEntries(PARTS.map(({ key }) => [key, begun.policy[key] ?? begun.appliance[key]]));
  return (
    <Form
      key={round}
      group={group}
      rs={rs}
      saved={own?.own ?? begun.policy}
      revision={own?.revision ?? begun.revision}
      above={own ? { policy: ofGroup, who: "group" } : { policy: begun.appliance, who: "appliance" }}
      again={again}
    />
  );
}

interface FormProps {
  group: string;
  rs: string | undefined;
  saved: Policy;
  revision: number;
  above: { policy: Policy; who: string };
  again: () => Promise<void>;
}

function Form({ group, rs, saved, revision, above, again }: FormProps) {
  const may = useMay(group).backup;
  const queries = useQueryClient();
  const [policy, setPolicy] = useState<Policy>(saved);
  const save = useMutation({
    mutationFn: async () => {
      const seen = ifSeen(revision);
      if (rs)
        await client.PUT("/groups/{group}/backups/{rs}/policy", {
          params: { path: { group, rs } },
          body: policy,
          ...seen,
        });
      else await client.PUT("/groups/{group}/policies", { params: { path: { group } }, body: policy, ...seen });
    },
    onSuccess: async () => {
      say("Saved. The verdicts measure against it from now on.");
      await again();
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });
  const changed = PARTS.some(({ key }) => (policy[key] ?? null) !== (saved[key] ?? null));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="sm" maw={860}>
        <div>
          <Title order={2} mb={4}>
            {rs ? "What is promised of this backup" : "What is promised"}
          </Title>
          <Text size="sm" className="hf-dim">
            The verdict says when a promise is not kept. It changes nothing about what is kept: retention and schedule
            do that. What is left empty is as the {above.who} says.
          </Text>
        </div>
        <PolicyFields policy={policy} onChange={setPolicy} disabled={!may} above={above} />
        <ProblemAlert error={save.error} reread={() => void again()} />
        {may ? (
          <Group>
            <Button type="submit" variant="default" loading={save.isPending} disabled={!changed}>
              Save the promise
            </Button>
          </Group>
        ) : null}
      </Stack>
    </form>
  );
}
