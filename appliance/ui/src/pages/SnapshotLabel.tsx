// The name of a snapshot, which can be given after it was taken. A name keeps nothing: pinning does.
import { Button, Group, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client } from "../api/client";
import type { Snapshot } from "../api/queries";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";

export function Label({ group, rs, snapshot }: { group: string; rs: string; snapshot: Snapshot }) {
  const queries = useQueryClient();
  const saved = snapshot.label ?? "";
  const [label, setLabel] = useState(saved);
  const save = useMutation({
    mutationFn: () =>
      client.PATCH("/groups/{group}/backups/{rs}/snapshots/{snapshot}", {
        params: { path: { group, rs, snapshot: snapshot.id } },
        body: { label: label.trim() || null },
      }),
    onSuccess: async () => {
      say(label.trim() ? "The snapshot has its new label." : "The snapshot has no label any more.");
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Group align="flex-end" gap="xs">
        <TextInput
          label="Label"
          description="Finds it again; it does not keep it: pin it for that"
          value={label}
          maxLength={200}
          style={{ flex: 1 }}
          onChange={(event) => setLabel(event.currentTarget.value)}
        />
        <Button type="submit" variant="default" loading={save.isPending} disabled={label.trim() === saved}>
          Save the label
        </Button>
      </Group>
      <ProblemAlert error={save.error} />
    </form>
  );
}
