// A backup: its timeline, its snapshots, its settings. The address holds view, tab and chosen second.
import { Alert, Stack, Tabs, Text, Title } from "@mantine/core";
import { useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { backupQuery, overviewQuery, snapshotsQuery, timelineQuery } from "../api/queries";
import { useNow } from "../app/now";
import { useMay } from "../app/session";
import { LinkButton } from "../components/Link";
import { Page } from "../components/Page";
import { ProblemAlert } from "../components/Problem";
import { Time } from "../components/Time";
import { VerdictBanner } from "../components/Verdict";
import { CutPanel } from "../timeline/CutPanel";
import { useEntryStep } from "../timeline/entryStep";
import { parseChosen, writeChosen, type Chosen } from "../timeline/instant";
import { answer, gaps, lastSecond } from "../timeline/restorable";
import { asked, clampSpan, showing, type View } from "../timeline/scale";
import { SecondPicker } from "../timeline/SecondPicker";
import { Timeline } from "../timeline/Timeline";
import { BackupSettings } from "./BackupSettings";
import { Snapshots } from "./Snapshots";

/** What is shown at first. */
const SPAN_SECONDS = 3600;
/** Room right of now, as a share of the view. */
const AHEAD = 0.04;

export function BackupPage() {
  const { group, rs } = useParams({ from: "/app/g/$group/backups/$rs" });
  const search = useSearch({ from: "/app/g/$group/backups/$rs" });
  const navigate = useNavigate({ from: "/g/$group/backups/$rs" });
  const backup = useSuspenseQuery(backupQuery(group, rs)).data;
  const snapshots = useSuspenseQuery(snapshotsQuery(group, rs)).data;
  const row = useSuspenseQuery(overviewQuery(group)).data.find((o) => o.rs === rs);
  const now = useNow();
  const may = useMay(group);
  const span = clampSpan(search.span ?? SPAN_SECONDS);
  const follow = search.from === undefined;
  const from = search.from ?? now - span * (1 - AHEAD);
  const view = useMemo<View>(() => ({ from, to: from + span }), [from, span]);
  const range = asked(view);
  const timeline = useQuery(timelineQuery(group, rs, range.from, range.to));
  const chosen = parseChosen(search.at);
  const chains = useMemo(() => timeline.data?.chains ?? [], [timeline.data]);
  const holes = gaps(backup.ranges, chains);
  const tab = search.tab ?? "timeline";

  const setView = (next: View, follows: boolean) =>
    void navigate({
      search: (old) => ({
        ...old,
        span: Math.round((next.to - next.from) * 100) / 100,
        from: follows ? undefined : Math.round(next.from * 100) / 100,
      }),
      replace: true,
      resetScroll: false,
    });
  const choose = (next: Chosen, look: View = view) =>
    void navigate({
      search: (old) => ({
        ...old,
        at: writeChosen(next),
        // What was chosen stays where it is while one looks at it.
        from: look === view ? (old.from ?? Math.round(view.from)) : Math.round(look.from * 100) / 100,
        span: old.span ?? span,
      }),
      replace: true,
      resetScroll: false,
    });
  const stepEntry = useEntryStep(group, rs, (next) => choose(next, showing(view, next.second)));
  const last = backup.ranges.at(-1);
  const fits = chosen && (chosen.i !== undefined || answer(chosen.second, backup.ranges, chains).ok);

  return (
    <Page
      title={`Backup of ${rs}`}
      lead={
        backup.ranges.length ? (
          <>
            Restorable from <Time at={backup.ranges[0]!.from.t} /> up to <Time at={backup.ranges.at(-1)!.to.t} />
          </>
        ) : (
          "Nothing can be restored yet: the first snapshot is not complete"
        )
      }
      actions={
        may.backup && backup.ranges.length ? (
          <LinkButton
            to="/g/$group/backups/$rs/restore"
            params={{ group, rs }}
            search={fits ? { at: writeChosen(chosen) } : {}}
          >
            Restore…
          </LinkButton>
        ) : null
      }
    >
      {row ? <VerdictBanner verdict={row.verdict} /> : null}
      <Tabs
        value={tab}
        onChange={(value) => void navigate({ search: (old) => ({ ...old, tab: value as typeof tab }), replace: true })}
        keepMounted={false}
      >
        <Tabs.List mb="md">
          <Tabs.Tab value="timeline">Timeline</Tabs.Tab>
          <Tabs.Tab value="snapshots">Snapshots ({snapshots.filter((s) => s.state === "complete").length})</Tabs.Tab>
          <Tabs.Tab value="settings">Settings</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="timeline">
          <Stack gap="lg">
            <Timeline
              view={view}
              onView={setView}
              follow={follow}
              now={now}
              ranges={backup.ranges}
              data={timeline.data}
              snapshots={snapshots}
              chosen={chosen?.second ?? null}
              onChoose={(second) => choose({ second })}
              onEntry={(direction) => void stepEntry(chosen ?? (last ? { second: lastSecond(last) } : null), direction)}
              windowFrom={now - backup.settings.retention.oplogWindowDays * 86_400}
            />
            <ProblemAlert error={timeline.error} />
            {holes.length ? (
              <Alert color="red" variant="outline" title={holes.length === 1 ? "One gap" : `${holes.length} gaps`}>
                {holes.map((hole) => (
                  <Text size="sm" key={hole.from}>
                    Between <Time at={hole.from} /> and <Time at={hole.to} /> no second can be restored: {hole.reason}.
                  </Text>
                ))}
              </Alert>
            ) : null}
            <section className="hf-panel">
              <Title order={2} mb="sm">
                Look at a second
              </Title>
              <Stack gap="md">
                <SecondPicker chosen={chosen} onChoose={choose} ranges={backup.ranges} chains={chains} />
                {chosen && fits ? (
                  <>
                    <CutPanel group={group} rs={rs} chosen={chosen} onChoose={choose} />
                    {may.backup ? (
                      <div>
                        <LinkButton
                          to="/g/$group/backups/$rs/restore"
                          params={{ group, rs }}
                          search={{ at: writeChosen(chosen) }}
                        >
                          Restore this second…
                        </LinkButton>
                      </div>
                    ) : null}
                  </>
                ) : chosen ? null : (
                  <Text size="sm" className="hf-dim">
                    Drag on the timeline or type a time. Then you see the last writes before it and the first after it,
                    so that you find the moment just before a mistake.
                  </Text>
                )}
              </Stack>
            </section>
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="snapshots">
          <Snapshots group={group} rs={rs} backup={backup} snapshots={snapshots} chosen={search.snapshot} />
        </Tabs.Panel>
        <Tabs.Panel value="settings">
          <BackupSettings group={group} rs={rs} backup={backup} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
