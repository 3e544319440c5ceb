// Schedule and retention, with the effect on what is kept shown before it is saved.
import { Button, Group, NumberInput, Select, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, data, ifSeen, revisionOf } from "../api/client";
import { readBackup, type Backup } from "../api/queries";
import type { components } from "../api/schema";
import { useBegun } from "../app/begun";
import { useMay } from "../app/session";
import { Mark } from "../components/Mark";
import { ProblemAlert, Waiting } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { bytes, counted } from "../lib/format";
import { BackupPlacement, type Seen } from "./BackupPlacement";
import { everyOptions, KEPT, type Kept } from "./kept";
import { PolicyForm } from "./Policy";

type Exact = components["schemas"]["RetentionPreviewView"]["freed"];

/** What becomes free: exact where the blockstore was counted, else what the snapshots added when they were taken. */
function Freed({ exact, most }: { exact: Exact; most: number }) {
  if (!exact) return <>At most {bytes(most)} become free; blocks that others share stay.</>;
  return (
    <>
      {bytes(exact.storedBytes)} become free, counted <Time at={exact.accountAt} ago />
      {exact.younger ? `, and what ${counted(exact.younger, "younger snapshot")} alone hold` : ""}.
    </>
  );
}

/** Everything that can be set of a backup: what is promised, what is kept, how it is read and where it lies. */
export function BackupSettings({ group, rs, backup }: { group: string; rs: string; backup: Backup }) {
  const { begun, round, again, error } = useBegun(["group", group, "backup", rs, "settings"], () =>
    readBackup(group, rs),
  );
  if (!begun) return error ? <ProblemAlert error={error} /> : <Waiting what="Reading the settings" />;
  return (
    <Stack gap={40} key={round}>
      <SeenForms group={group} rs={rs} backup={begun} daemon={backup.daemon ?? null} again={again} />
      <PolicyForm group={group} rs={rs} />
    </Stack>
  );
}

interface SeenFormsProps {
  group: string;
  rs: string;
  backup: Backup;
  daemon: string | null;
  again: () => Promise<void>;
}

/** Two forms of one thing: what one of them saves the other has seen. */
function SeenForms({ group, rs, backup, daemon, again }: SeenFormsProps) {
  const [revision, setRevision] = useState(backup.settingsRevision);
  const seen: Seen = { revision, saved: (next) => setRevision((old) => next ?? old), again: () => void again() };
  return (
    <>
      <Keeping group={group} rs={rs} backup={backup} seen={seen} />
      <BackupPlacement group={group} rs={rs} backup={backup} seen={seen} daemon={daemon} />
    </>
  );
}

function Keeping({ group, rs, backup, seen }: { group: string; rs: string; backup: Backup; seen: Seen }) {
  const may = useMay(group);
  const queries = useQueryClient();
  const [saved, setSaved] = useState(backup.settings);
  const [every, setEvery] = useState(saved.schedule.everySeconds);
  const [kept, setKept] = useState<Kept>({ ...saved.retention, recentHours: saved.retention.recentHours ?? 24 });
  const [hours, setHours] = useState(saved.linkHours);
  const [uses, setUses] = useState(saved.linkUses);
  const [asked] = useDebouncedValue(kept, 300);
  const preview = useQuery({
    queryKey: ["group", group, "preview", rs, asked],
    queryFn: () =>
      data(
        client.POST("/groups/{group}/backups/{rs}/retention/preview", { params: { path: { group, rs } }, body: asked }),
      ),
    placeholderData: (old) => old,
    retry: false,
  });
  const save = useMutation({
    mutationFn: () =>
      client.PATCH("/groups/{group}/backups/{rs}", {
        params: { path: { group, rs } },
        body: {
          schedule: { ...saved.schedule, everySeconds: every },
          retention: kept,
          linkHours: hours,
          linkUses: uses,
        },
        ...ifSeen(seen.revision),
      }),
    onSuccess: async ({ data: now, response }) => {
      if (now) setSaved(now);
      seen.saved(revisionOf(response));
      say("Saved. The daemon follows it from its next round on.");
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });
  const goes = preview.data?.goes ?? [];
  const freed = goes.reduce((sum, s) => sum + s.storedBytes, 0);
  const changed =
    every !== saved.schedule.everySeconds ||
    hours !== saved.linkHours ||
    uses !== saved.linkUses ||
    KEPT.some(({ key }) => kept[key] !== (saved.retention[key] ?? 24));
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save.mutate();
      }}
    >
      <Stack gap="lg" maw={860}>
        <section>
          <Title order={2} mb="xs">
            Schedule
          </Title>
          <Select
            label="A snapshot"
            description="An extra one is taken when replaying to the newest second would take too long"
            data={everyOptions(saved.schedule.everySeconds)}
            value={String(every)}
            onChange={(value) => setEvery(Number(value ?? every))}
            allowDeselect={false}
            maw={260}
            disabled={!may.backup}
          />
        </section>
        <section>
          <Title order={2} mb="xs">
            Retention
          </Title>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
            {KEPT.map(({ key, label, unit, max }) => (
              <NumberInput
                key={key}
                label={label}
                value={kept[key]}
                min={0}
                max={max}
                allowDecimal={false}
                suffix={` ${unit}`}
                disabled={!may.backup}
                onChange={(value) => setKept((old) => ({ ...old, [key]: Number(value) || 0 }))}
              />
            ))}
          </SimpleGrid>
          <section
            className="hf-banner"
            data-tone={goes.length || preview.data?.noLonger.length ? "amber" : undefined}
            aria-busy={asked !== kept || preview.isFetching}
            style={{ marginTop: 16 }}
            aria-label="Effect"
            aria-live="polite"
          >
            {preview.data ? (
              <>
                {goes.length ? (
                  <Mark tone="amber">
                    {counted(goes.length, "snapshot")} would go to the trash, {counted(preview.data.kept, "snapshot")}{" "}
                    would stay
                  </Mark>
                ) : (
                  <Text size="sm" fw={500}>
                    No snapshot goes: all {preview.data.kept} stay.
                  </Text>
                )}
                <Text size="sm" mt={4}>
                  {goes.length ? (
                    <>
                      From <Time at={goes[0]!.at} /> to <Time at={goes.at(-1)!.at} />.{" "}
                      <Freed exact={preview.data.freed} most={freed} />{" "}
                    </>
                  ) : null}
                  Any second after <Time at={preview.data.windowFrom} /> is kept restorable.
                </Text>
                {preview.data.noLonger.map((lost) => (
                  <Text size="sm" mt={4} key={lost.from}>
                    <Time at={lost.from} /> to <Time at={lost.to} /> will no longer be restorable to the second. That
                    cannot be taken back.
                  </Text>
                ))}
                {preview.data.undoUntil ? (
                  <Text size="sm" mt={4}>
                    The snapshots can be taken out of the trash until <Time at={preview.data.undoUntil} />.
                  </Text>
                ) : null}
              </>
            ) : (
              <Text size="sm">{preview.error ? String(preview.error.message) : "Computing the effect"}</Text>
            )}
          </section>
        </section>
        <section>
          <Title order={2} mb="xs">
            Restore links
          </Title>
          <Group>
            <NumberInput
              label="A link works for"
              suffix=" h"
              value={hours}
              min={1}
              max={720}
              disabled={!may.backup}
              onChange={(v) => setHours(Number(v) || 1)}
            />
            <NumberInput
              label="Downloads per link"
              value={uses}
              min={1}
              max={1000}
              disabled={!may.backup}
              onChange={(v) => setUses(Number(v) || 1)}
            />
          </Group>
        </section>
        <ProblemAlert error={save.error} reread={seen.again} />
        {may.backup ? (
          <Group>
            <Button type="submit" loading={save.isPending} disabled={!changed}>
              {goes.length ? `Save, and let ${counted(goes.length, "snapshot")} go` : "Save"}
            </Button>
          </Group>
        ) : (
          <Text size="sm" className="hf-dim">
            A backup admin of the group can change this.
          </Text>
        )}
      </Stack>
    </form>
  );
}
