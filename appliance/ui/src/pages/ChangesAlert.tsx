// The alert that blocks were called unchanged and had changed: what is known of it, and the button of who has seen to it.
import { Button, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { client } from "../api/client";
import type { components } from "../api/schema";
import { useMay } from "../app/session";
import { Mark } from "../components/Mark";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";

type Changes = components["schemas"]["ChangesView"];

export function ChangesAlertBanner({ group, rs, alert }: { group: string; rs: string; alert: Changes }) {
  const may = useMay(group).backup;
  const queries = useQueryClient();
  const acknowledge = useMutation({
    mutationFn: () =>
      client.POST("/groups/{group}/backups/{rs}/changesAlert/acknowledgement", {
        params: { path: { group, rs } },
        body: { snapshot: alert.snapshot },
      }),
    onSuccess: async () => {
      say("Acknowledged. The verdict no longer names it; the audit log does.");
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });
  return (
    <section className="hf-panel" aria-label="Blocks called unchanged">
      <Mark tone="amber">Alert</Mark>
      <Text size="sm" mt={4} mb="xs">
        {alert.missed} of {alert.sampled} sampled blocks that the file system called unchanged had changed
        {alert.firstMiss ? `, the first in ${alert.firstMiss}` : ""} (<Time at={alert.at} />
        ). This snapshot was read whole and is right; those before it may lack changes. Check the disk and the kernel
        under the head.
      </Text>
      <ProblemAlert error={acknowledge.error} />
      {may ? (
        <Button variant="default" loading={acknowledge.isPending} onClick={() => acknowledge.mutate()}>
          Acknowledge
        </Button>
      ) : null}
    </section>
  );
}
