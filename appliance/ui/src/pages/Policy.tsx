// What is promised: how far back, how much may be lost, how fast it is back. The verdicts measure against it.
import { Button, Group, NumberInput, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client } from "../api/client";
import type { components } from "../api/schema";
import { useMay } from "../app/session";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { duration } from "../lib/time";

type Policy = components["schemas"]["PolicyView"];
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

interface Props {
  group: string;
  /** Of one backup; without it, of the group. */
  rs?: string;
  saved: Policy;
  /** What counts where a part is left empty. */
  fallback?: Policy;
}

export function PolicyForm({ group, rs, saved, fallback }: Props) {
  const may = useMay(group).backup;
  const queries = useQueryClient();
  const [policy, setPolicy] = useState<Policy>(saved);
  const save = useMutation({
    mutationFn: async () => {
      if (rs)
        await client.PUT("/groups/{group}/backups/{rs}/policy", { params: { path: { group, rs } }, body: policy });
      else await client.PUT("/groups/{group}/policies", { params: { path: { group } }, body: policy });
    },
    onSuccess: async () => {
      say("Saved. The verdicts measure against it from now on.");
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
            do that.{rs ? " What is left empty is as the group says." : ""}
          </Text>
        </div>
        <SimpleGrid cols={{ base: 1, xs: 3 }}>
          {PARTS.map(({ key, label, unit, seconds, max, none }) => {
            const above = fallback?.[key];
            return (
              <NumberInput
                key={key}
                label={label}
                suffix={` ${unit}`}
                placeholder={above ? `${duration(above)} (group)` : none}
                value={policy[key] ? policy[key] / seconds : ""}
                min={0}
                max={max}
                decimalScale={2}
                disabled={!may}
                onChange={(value) =>
                  setPolicy((old) => ({ ...old, [key]: Number(value) ? Math.round(Number(value) * seconds) : null }))
                }
              />
            );
          })}
        </SimpleGrid>
        <ProblemAlert error={save.error} />
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
