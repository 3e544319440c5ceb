// Keys of groups that encrypt: exported as a file or as a page to print. Shown to nobody; what goes out is noted in the audit log.
import { Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { exportKey } from "../api/appliance";
import { groupsQuery } from "../api/queries";
import { useMay } from "../app/session";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";
import { save } from "../lib/save";

export function GroupKeys() {
  const groups = useQuery(groupsQuery);
  if (groups.isPending) return <Waiting what="Reading the groups" />;
  const encrypted = (groups.data ?? []).filter((group) => group.encrypted);
  return (
    <Stack>
      <ProblemAlert error={groups.error} />
      {encrypted.length ? (
        <>
          <Text size="sm" maw="80ch">
            With its key, and the blocks, every backup of a group can be read without this appliance. Without it, and
            without the master key, none can. Keep it where the backups are not.
          </Text>
          <ul className="hf-steps hf-rows" aria-label="Groups that encrypt">
            {encrypted.map((group) => (
              <Line key={group.id} group={group.name} />
            ))}
          </ul>
        </>
      ) : (
        <Empty title="No group encrypts">
          A group encrypts from its first snapshot on or never: choose it when the group is made (
          <code>holdfast groups create NAME --encrypt</code>).
        </Empty>
      )}
    </Stack>
  );
}

function Line({ group }: { group: string }) {
  const may = useMay(group);
  const out = useMutation({
    mutationFn: (form: "file" | "html") => exportKey(group, form),
    onSuccess: (key) => {
      save(key.fileName, key.contentType, key.content);
      say(`The key of ${group} was saved by your browser.`);
    },
  });
  return (
    <li>
      <Text size="sm" fw={500}>
        {group}
      </Text>
      {may.owner ? (
        <Group>
          <ProblemAlert error={out.error} />
          <Button
            size="compact-sm"
            variant="default"
            aria-label={`Save as a file: the key of ${group}`}
            loading={out.isPending}
            onClick={() => out.mutate("file")}
          >
            Save as a file
          </Button>
          <Button
            size="compact-sm"
            variant="default"
            aria-label={`Save as a page to print: the key of ${group}`}
            loading={out.isPending}
            onClick={() => out.mutate("html")}
          >
            Save as a page to print
          </Button>
        </Group>
      ) : (
        <Text size="xs" className="hf-dim">
          Its owners export it
        </Text>
      )}
    </li>
  );
}
