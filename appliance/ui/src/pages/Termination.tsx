// Giving a backup up, with everything that goes and stays said before; and taking that back.
import { Button, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, data } from "../api/client";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { Mark } from "../components/Mark";
import { ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { bytes, counted } from "../lib/format";

function useTermination(group: string, rs: string, enabled: boolean) {
  return useQuery({
    queryKey: ["group", group, "termination", rs],
    queryFn: () => data(client.GET("/groups/{group}/backups/{rs}/termination", { params: { path: { group, rs } } })),
    enabled,
  });
}

export function TerminateButton({ group, rs }: { group: string; rs: string }) {
  const [opened, setOpened] = useState(false);
  const queries = useQueryClient();
  const plan = useTermination(group, rs, opened);
  const what = plan.data;
  return (
    <>
      <Button variant="default" onClick={() => setOpened(true)}>
        Terminate…
      </Button>
      <Confirm
        opened={opened}
        title={`Terminate the backup of ${rs}`}
        button="Terminate the backup"
        name={rs}
        onClose={() => setOpened(false)}
        onConfirm={async () => {
          await client.POST("/groups/{group}/backups/{rs}/termination", {
            params: { path: { group, rs } },
            body: { name: rs },
          });
          await queries.invalidateQueries({ queryKey: ["group", group] });
        }}
      >
        <ProblemAlert error={plan.error} />
        {what ? (
          <>
            <p>
              Writes from now on are not backed up, and the copy of the data at the daemon is removed.{" "}
              {what.ranges.length ? (
                <>
                  What can be restored now, from <Time at={what.ranges[0]!.from.t} /> up to{" "}
                  <Time at={what.ranges.at(-1)!.to.t} />, no longer can.
                </>
              ) : (
                "Nothing of it can be restored now."
              )}
            </p>
            <p>
              {counted(what.goes, "snapshot")} {what.goes === 1 ? "goes" : "go"} to the trash
              {what.freesBytes ? `, and ${bytes(what.freesBytes)} become free after it` : ""}.{" "}
              {what.undoUntil ? (
                <>
                  It can be taken back until <Time at={what.undoUntil} />; after that all of it is removed for good.
                </>
              ) : (
                "It can be taken back until the next collection removes what lies in the trash."
              )}
            </p>
            {what.stays.length ? (
              <>
                <p>These stay until they are unpinned, and the backup stays with them:</p>
                <ul>
                  {what.stays.map((s) => (
                    <li key={s.snapshot}>
                      {s.label ?? "snapshot"} of <Time at={s.at} />: {s.why}
                    </li>
                  ))}
                </ul>
              </>
            ) : null}
          </>
        ) : (
          <p>Looking at what would go.</p>
        )}
      </Confirm>
    </>
  );
}

/** Shown as long as a terminated backup can be taken back. */
export function TerminatedBanner({ group, rs }: { group: string; rs: string }) {
  const may = useMay(group).backup;
  const queries = useQueryClient();
  const state = useTermination(group, rs, true).data;
  const back = useMutation({
    mutationFn: () => client.DELETE("/groups/{group}/backups/{rs}/termination", { params: { path: { group, rs } } }),
    onSuccess: async () => {
      say("The backup is a stopped one again, with its snapshots.");
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });
  return (
    <section className="hf-panel" aria-label="Terminated">
      <Mark tone="amber">Terminated</Mark>
      <Text size="sm" mt={4} mb="xs">
        {state ? `${counted(state.goes, "snapshot")} in the trash. ` : ""}
        {state?.undoUntil ? (
          <>
            It can be taken back until <Time at={state.undoUntil} />: then it is a stopped backup with its snapshots.
          </>
        ) : (
          "It can be taken back until the next collection: then it is a stopped backup with its snapshots."
        )}
        {state?.stays.length ? ` ${counted(state.stays.length, "snapshot")} stay until unpinned.` : ""}
      </Text>
      <ProblemAlert error={back.error} />
      {may ? (
        <Button variant="default" loading={back.isPending} onClick={() => back.mutate()}>
          Take the termination back
        </Button>
      ) : null}
    </section>
  );
}
