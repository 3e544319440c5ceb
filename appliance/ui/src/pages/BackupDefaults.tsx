// What new backups begin with, and what is promised where neither a backup nor its group says otherwise.
import { Button, Group, NumberInput, Select, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { useBegun } from "../app/begun";
import { ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";
import { everyOptions, KEPT } from "./kept";
import { PolicyFields } from "./Policy";

export function BackupDefaults() {
  const { begun, round, again, error } = useBegun(["settings", "backupDefaults"], access.getBackupDefaults);
  if (!begun) return error ? <ProblemAlert error={error} /> : <Waiting what="Reading the defaults" />;
  return <Form key={round} saved={begun.value} revision={begun.revision} again={again} />;
}

interface Props {
  saved: access.BackupDefaults;
  revision: number | undefined;
  again: () => Promise<void>;
}

function Form({ saved, revision, again }: Props) {
  const queries = useQueryClient();
  const [form, setForm] = useState(saved);
  const save = useMutation({
    mutationFn: () => access.setBackupDefaults(form, revision),
    onSuccess: async () => {
      say("Saved. New backups begin with it.");
      await again();
      await queries.invalidateQueries({ queryKey: ["group"] });
    },
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb={4}>
        Defaults of backups
      </Title>
      <Text size="sm" className="hf-dim" mb="sm">
        What a new backup begins with. Backups that there are keep their settings.
      </Text>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
            <Select
              label="A snapshot"
              allowDeselect={false}
              data={everyOptions(saved.schedule.everySeconds)}
              value={String(form.schedule.everySeconds)}
              onChange={(value) =>
                setForm((old) => ({ ...old, schedule: { ...old.schedule, everySeconds: Number(value) } }))
              }
            />
            {KEPT.map(({ key, label, unit, max }) => (
              <NumberInput
                key={key}
                label={label}
                suffix={` ${unit}`}
                min={0}
                max={max}
                allowDecimal={false}
                value={form.retention[key] ?? 0}
                onChange={(value) =>
                  setForm((old) => ({ ...old, retention: { ...old.retention, [key]: Number(value) || 0 } }))
                }
              />
            ))}
            <NumberInput
              label="A restore link works for"
              suffix=" h"
              min={1}
              max={720}
              value={form.linkHours}
              onChange={(value) => setForm((old) => ({ ...old, linkHours: Number(value) || 1 }))}
            />
            <NumberInput
              label="Downloads per link"
              min={1}
              max={1000}
              value={form.linkUses}
              onChange={(value) => setForm((old) => ({ ...old, linkUses: Number(value) || 1 }))}
            />
          </SimpleGrid>
          <Text size="sm" fw={500}>
            Promised of every backup whose group promises nothing else
          </Text>
          <PolicyFields policy={form.policy} onChange={(policy) => setForm((old) => ({ ...old, policy }))} />
          <ProblemAlert error={save.error} reread={() => void again()} />
          <Group>
            <Button type="submit" loading={save.isPending} disabled={JSON.stringify(form) === JSON.stringify(saved)}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}
