// Restore, on one page: when, what, where, with the plan beside it. The button names the effect.
import {
  Button,
  Grid,
  Group,
  NumberInput,
  SegmentedControl,
  Select,
  Stack,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { client, data } from "../api/client";
import { backupQuery, estimateQuery, snapshotsQuery, timelineQuery } from "../api/queries";
import { serverOf, sftpTargetsQuery } from "../api/sftp";
import { useMay } from "../app/session";
import { useZone } from "../app/zone";
import { CopyLine } from "../components/CopyLine";
import { Link } from "../components/Link";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes, count, shellWord } from "../lib/format";
import { duration, shown } from "../lib/time";
import { ChooseOnTimeline } from "../timeline/ChooseOnTimeline";
import { CutPanel } from "../timeline/CutPanel";
import { apiAt, parseChosen, writeChosen, type Chosen } from "../timeline/instant";
import { answer } from "../timeline/restorable";
import { SecondPicker } from "../timeline/SecondPicker";
import { Fact } from "./Deployment";
import { keepLink } from "./links";
import { proofOf } from "./Snapshots";

const FORMATS = [
  { value: "tar.zst", label: "tar.zst: small, resumable" },
  { value: "tar", label: "tar: resumable, needs no zstd" },
  { value: "tar.gz", label: "tar.gz: opens everywhere, not resumable" },
];

export function RestorePage() {
  const { group, rs } = useParams({ from: "/app/g/$group/backups/$rs/restore" });
  const search = useSearch({ from: "/app/g/$group/backups/$rs/restore" });
  const navigate = useNavigate({ from: "/g/$group/backups/$rs/restore" });
  const { zone } = useZone();
  const may = useMay(group);
  const queries = useQueryClient();
  const backup = useSuspenseQuery(backupQuery(group, rs)).data;
  const snapshots = useSuspenseQuery(snapshotsQuery(group, rs)).data;
  const chosen = parseChosen(search.at);
  const near = chosen?.second ?? backup.ranges.at(-1)?.to.t ?? 0;
  const timeline = useQuery(timelineQuery(group, rs, near - 60, near + 60));
  const chains = timeline.data?.chains ?? [];
  const snapshot = snapshots.find((s) => s.id === search.snapshot);
  const kind = search.snapshot !== undefined ? "snapshot" : "second";
  const [format, setFormat] = useState("tar.zst");
  const [hours, setHours] = useState(backup.settings.linkHours);
  const [reason, setReason] = useState("");
  const [uses, setUses] = useState(backup.settings.linkUses);
  const targets = useQuery(sftpTargetsQuery(group));
  const [pushes, setPushes] = useState(false);
  const [sftp, setSftp] = useState<string | null>(null);
  const target = targets.data?.find((t) => t.name === sftp) ?? targets.data?.[0];
  const good = useMemo(
    () => snapshots.filter((s) => s.state === "complete" && s.proof !== "damaged").reverse(),
    [snapshots],
  );
  const fits = chosen !== null && (chosen.i !== undefined || answer(chosen.second, backup.ranges, chains).ok);
  const at = kind === "second" && chosen && fits ? apiAt(chosen) : null;
  const chain = kind === "second" ? search.chain : undefined;
  const snapshotId = kind === "snapshot" ? snapshot?.id : undefined;
  const what = at !== null ? { at, ...(chain === undefined ? {} : { chain }) } : null;
  const estimate = useQuery(estimateQuery(group, rs, snapshotId ? { snapshot: snapshotId } : what));
  const plan = estimate.data;
  const create = useMutation({
    mutationFn: () =>
      data(
        client.POST("/groups/{group}/backups/{rs}/restores", {
          params: { path: { group, rs } },
          body: {
            format,
            hours,
            uses,
            ...(reason.trim() ? { reason: reason.trim() } : {}),
            ...(pushes && target ? { sftp: target.name } : {}),
            ...(kind === "snapshot"
              ? { snapshot: search.snapshot! }
              : { at: at!, waitSeconds: 30, ...(chain === undefined ? {} : { chain }) }),
          },
        }),
      ),
    onSuccess: async (made) => {
      keepLink(made.id, made.url);
      await queries.invalidateQueries({ queryKey: ["group", group, "restores"] });
      await navigate({ to: "/g/$group/restores/$restore", params: { group, restore: made.id } });
    },
  });
  const set = (next: { at?: string; snapshot?: string; chain?: number }) =>
    void navigate({ search: next, replace: true, resetScroll: false });
  const choose = (next: Chosen) => set({ at: writeChosen(next) });
  const ready = kind === "snapshot" ? !!snapshot : at !== null;
  const size = kind === "snapshot" ? snapshot?.logicalBytes : plan?.snapshotBytes;
  const line = [
    "holdfast restore",
    shellWord(`${group}/${rs}`),
    kind === "snapshot" ? `--snapshot ${search.snapshot}` : `--at ${at ?? "TIME"}`,
    ...(chain === undefined ? [] : [`--chain ${chain}`]),
    pushes && target ? `--sftp ${shellWord(target.name)} --wait` : "--wait --to ./restored",
  ].join(" ");

  if (backup.ranges.length === 0) {
    return (
      <Page title={`Restore ${rs}`}>
        <Empty title="Nothing can be restored yet">
          The first snapshot is not complete. It is taken by itself as soon as the head has caught up with the source.
        </Empty>
      </Page>
    );
  }
  return (
    <Page
      title={`Restore ${rs}`}
      lead="Nothing is overwritten: a restore is a copy that you download or unpack where you want it."
    >
      <Grid gap="lg">
        <Grid.Col span={{ base: 12, md: 8 }}>
          <Stack gap="lg">
            <section className="hf-panel">
              <Group justify="space-between" mb="sm">
                <Title order={2}>When</Title>
                <SegmentedControl
                  aria-label="Restore a second or a snapshot"
                  value={kind}
                  onChange={(value) => set(value === "snapshot" ? { snapshot: good[0]?.id ?? "" } : {})}
                  data={[
                    { value: "second", label: "A second" },
                    { value: "snapshot", label: "A snapshot" },
                  ]}
                />
              </Group>
              {kind === "second" ? (
                <Stack gap="md">
                  <ChooseOnTimeline group={group} rs={rs} backup={backup} chosen={chosen} onChoose={choose} />
                  <SecondPicker chosen={chosen} onChoose={choose} ranges={backup.ranges} chains={chains} />
                  {chosen && fits ? (
                    <CutPanel group={group} rs={rs} chosen={chosen} chain={chain} onChoose={choose} />
                  ) : null}
                  {plan && plan.histories.length > 1 && at ? (
                    <Select
                      label="History"
                      description="Two histories cover this second: the source rolled back, or began anew"
                      allowDeselect={false}
                      value={String(plan.chain)}
                      onChange={(v) => v !== null && set({ at: search.at, chain: Number(v) })}
                      data={plan.histories.map((h) => ({
                        value: String(h.chain),
                        label: `${h.chain}: ${shown(h.from.t, zone, 0)} to ${shown(h.to.t, zone, 0)}${h.reason ? ` · ended: ${h.reason}` : ""}`,
                      }))}
                    />
                  ) : null}
                </Stack>
              ) : (
                <Select
                  label="Snapshot"
                  searchable
                  value={snapshot?.id ?? null}
                  onChange={(id) => id && set({ snapshot: id })}
                  data={good.map((s) => ({
                    value: s.id,
                    label: `${shown(s.optime.t, zone, 0)}${s.label ? ` · ${s.label}` : ""} · ${bytes(s.logicalBytes)} · ${proofOf(s.proof).word.toLowerCase()}`,
                  }))}
                  nothingFoundMessage="No snapshot matches"
                />
              )}
            </section>
            <section className="hf-panel">
              <Group justify="space-between" mb="sm">
                <Title order={2}>Where</Title>
                <SegmentedControl
                  aria-label="Download it or push it"
                  value={pushes ? "push" : "download"}
                  onChange={(value) => setPushes(value === "push")}
                  data={[
                    { value: "download", label: "A download" },
                    { value: "push", label: "Pushed by SFTP" },
                  ]}
                />
              </Group>
              {pushes ? (
                target ? (
                  <Select
                    label="SFTP target"
                    description={`${serverOf(target)}, ${target.folder || "the user's home"}. It goes there by itself once it is made; the link works too`}
                    data={targets.data?.map((t) => t.name) ?? []}
                    value={target.name}
                    onChange={setSftp}
                    allowDeselect={false}
                    mb="sm"
                  />
                ) : (
                  <Text size="sm" mb="sm">
                    No server is known.{" "}
                    <Link to="/g/$group/sftp" params={{ group }}>
                      Add an SFTP target
                    </Link>{" "}
                    first.
                  </Text>
                )
              ) : null}
              <TextInput
                label="Why"
                description="For the history of restores, seen by the group; may be left empty"
                maxLength={500}
                value={reason}
                onChange={(event) => setReason(event.currentTarget.value)}
                mb="sm"
              />
              <Group align="flex-end" gap="md">
                <Select
                  label="Format"
                  data={FORMATS}
                  value={format}
                  onChange={(v) => v && setFormat(v)}
                  allowDeselect={false}
                  w={300}
                />
                <NumberInput
                  label="The link works for"
                  suffix=" h"
                  min={1}
                  max={720}
                  value={hours}
                  onChange={(v) => setHours(Number(v) || 1)}
                  w={140}
                />
                <NumberInput
                  label="Downloads"
                  min={1}
                  max={1000}
                  value={uses}
                  onChange={(v) => setUses(Number(v) || 1)}
                  w={110}
                />
              </Group>
            </section>
            <section className="hf-panel">
              <Title order={2} mb="xs">
                {pushes ? "Or: by the command line" : "Or: unpacked on the host where you need it"}
              </Title>
              <Text size="sm" mb="xs">
                {pushes
                  ? "The same, without this page: prepares, and waits until it lies at the server."
                  : "The same, without this page: prepares, downloads, checks every file and unpacks a dbpath that a mongod of the same release opens as it is."}
              </Text>
              <CopyLine text={line} label="holdfast restore line" />
            </section>
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, md: 4 }}>
          <aside className="hf-panel hf-sticky" aria-label="Plan">
            <Title order={2} mb="sm">
              Plan
            </Title>
            {ready ? (
              <Stack gap="md">
                <dl className="hf-facts">
                  <Fact name="State at">
                    {kind === "snapshot" ? <Time at={snapshot?.at} /> : <Time at={chosen?.second} />}
                  </Fact>
                  <Fact name="From the snapshot of">
                    <Time at={kind === "snapshot" ? snapshot?.at : plan?.snapshotAt.t} none="reading" />
                  </Fact>
                  {kind === "second" && plan ? (
                    <>
                      <Fact name="Entries to replay">
                        {plan.replayTruncated ? "more than " : "at most "}
                        {count(plan.replayEntries)} ({bytes(plan.replayBytes)})
                      </Fact>
                      <Fact name="Room to make it">
                        {bytes(plan.scratchBytes)} needed,{" "}
                        {plan.freeBytes === null || plan.freeBytes === undefined
                          ? "free room not known"
                          : `${bytes(plan.freeBytes)} free on ${plan.daemon}`}
                      </Fact>
                    </>
                  ) : null}
                  <Fact name="Size unpacked">
                    {kind === "second" ? "about " : ""}
                    {bytes(size)}
                  </Fact>
                  <Fact name="Needs">
                    mongod{" "}
                    {(kind === "snapshot" ? snapshot?.serverVersion : plan?.serverVersion)
                      ?.split(".")
                      .slice(0, 2)
                      .join(".") ?? "…"}
                    {plan ? `, feature compatibility ${plan.fcv}` : ""}
                  </Fact>
                  <Fact name="Ready">
                    {kind === "snapshot"
                      ? "at once"
                      : plan?.seconds
                        ? `in ${duration(plan.seconds.least)} to ${duration(plan.seconds.most)}`
                        : "after the replay"}
                  </Fact>
                </dl>
                {plan && kind === "second" ? (
                  <Text size="xs" className="hf-dim">
                    Time: {plan.basis}.
                  </Text>
                ) : null}
                {plan && !plan.fits ? (
                  <Mark tone="red">
                    {plan.daemon} has not the room: it will wait for it, and give up. Free room there, or choose a
                    snapshot
                  </Mark>
                ) : null}
                <ProblemAlert error={estimate.error ?? create.error} />
                {may.backup ? (
                  <Button
                    fullWidth
                    loading={create.isPending}
                    disabled={pushes && !target}
                    onClick={() => create.mutate()}
                  >
                    Prepare {size ? bytes(size) : "the download"}
                    {pushes && target ? `, push it to ${target.name}` : ""}
                  </Button>
                ) : (
                  <Mark tone="off">Only a backup admin can prepare a restore</Mark>
                )}
                <Text size="xs" className="hf-dim">
                  The deployment itself is not touched.
                </Text>
              </Stack>
            ) : (
              <Text size="sm" className="hf-dim">
                Choose a second or a snapshot: then this says what it takes, before anything is prepared.
              </Text>
            )}
          </aside>
        </Grid.Col>
      </Grid>
    </Page>
  );
}
