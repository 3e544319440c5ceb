// What the appliance asks of people: sign-up, second factor, who makes groups, passwords, sessions.
import { Button, Group, NumberInput, Select, SimpleGrid, Stack, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import type { Tagged } from "../api/client";
import { useBegun } from "../app/begun";
import { ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";

export function AccessPolicy() {
  const { begun, round, again, error } = useBegun(["settings", "access"], access.getAccess);
  if (!begun) return error ? <ProblemAlert error={error} /> : <Waiting what="Reading the settings" />;
  return <Form key={round} saved={begun} again={again} />;
}

interface Props {
  saved: Tagged<access.AccessSettings>;
  again: () => Promise<void>;
}

function Form({ saved, again }: Props) {
  const queries = useQueryClient();
  const [form, setForm] = useState(saved.value);
  const save = useMutation({
    mutationFn: () => access.setAccess(form, saved.revision),
    onSuccess: async () => {
      say("Saved. New sessions go by it.");
      await again();
      await queries.invalidateQueries({ queryKey: ["session"] });
    },
  });
  const number = (name: "passwordCharsMin" | "sessionIdleMinutes" | "sessionHours" | "verifiedMinutes") => ({
    value: form[name],
    onChange: (value: string | number) => setForm((old) => ({ ...old, [name]: Number(value) || 0 })),
  });
  return (
    <section className="hf-panel">
      <Title order={2} mb="sm">
        People and sessions
      </Title>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <Select
              label="Who may make an account"
              allowDeselect={false}
              value={form.signUp}
              onChange={(v) => v && setForm((old) => ({ ...old, signUp: v as typeof old.signUp }))}
              data={[
                { value: "open", label: "Anyone with a mailbox" },
                { value: "invitation", label: "Who is invited" },
                { value: "closed", label: "Nobody: user admins make accounts" },
              ]}
            />
            <Select
              label="Who needs a second factor"
              allowDeselect={false}
              value={form.totp}
              onChange={(v) => v && setForm((old) => ({ ...old, totp: v as typeof old.totp }))}
              data={[
                { value: "off", label: "Nobody can set one up" },
                { value: "optional", label: "Who wants" },
                { value: "globalRoles", label: "Who holds a global role" },
                { value: "all", label: "Everyone" },
              ]}
            />
            <Select
              label="Who may make groups"
              allowDeselect={false}
              value={form.groupCreation ?? "administrators"}
              onChange={(v) => v && setForm((old) => ({ ...old, groupCreation: v as typeof old.groupCreation }))}
              data={[
                { value: "administrators", label: "Owners of the appliance" },
                { value: "everyone", label: "Everyone: whoever makes one owns it" },
              ]}
            />
            <NumberInput
              label="Shortest password"
              suffix=" characters"
              min={8}
              max={128}
              {...number("passwordCharsMin")}
            />
            <NumberInput
              label="A session ends when unused for"
              suffix=" min"
              min={5}
              max={10_080}
              {...number("sessionIdleMinutes")}
            />
            <NumberInput label="A session ends after" suffix=" h" min={1} max={720} {...number("sessionHours")} />
            <NumberInput
              label="Restores and deletions ask again after"
              suffix=" min"
              min={1}
              max={1440}
              {...number("verifiedMinutes")}
            />
          </SimpleGrid>
          <ProblemAlert error={save.error} reread={() => void again()} />
          <Group>
            <Button type="submit" loading={save.isPending}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </section>
  );
}
