// The job queue: all long work of the appliance, newest first, with live states, progress and the last error with its daemon.
import { Button, Group, NativeSelect, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { jobsQuery, type Job } from "../api/operations";
import { ProgressLine } from "../components/Job";
import { Mark, type Tone } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { sentence } from "../lib/format";

export const JOB_KINDS = ["snapshot", "restore", "blockstore", "offsite", "move", "backup"] as const;
export const JOB_STATES = ["queued", "running", "done", "failed", "cancelled"] as const;

const KINDS: Record<Job["kind"], string> = {
  snapshot: "Snapshots",
  restore: "Restores",
  blockstore: "Work on the blockstore",
  offsite: "Offsite copies",
  move: "Heads that move",
  backup: "Backups that catch up or failed",
};
const STATES: Record<Job["state"], { word: string; tone: Tone }> = {
  queued: { word: "Waits", tone: "off" },
  running: { word: "Runs", tone: "grey" },
  done: { word: "Done", tone: "ring" },
  failed: { word: "Failed", tone: "red" },
  cancelled: { word: "Called off", tone: "off" },
};

export function JobLine({ job }: { job: Job }) {
  const { word, tone } = STATES[job.state];
  const by = [
    job.group,
    job.daemon ? `on ${job.daemon}` : null,
    job.attempt && job.attempt > 1 ? `attempt ${job.attempt}` : null,
    job.askedBy ? `asked for by ${job.askedBy}` : null,
  ].filter(Boolean);
  return (
    <li>
      <div style={{ flex: "1 1 320px", minWidth: 0 }}>
        <Group gap="sm">
          <Mark tone={tone}>{word}</Mark>
          <Text size="sm" fw={500}>
            {job.title}
          </Text>
        </Group>
        <Text size="xs" className="hf-dim" component="div">
          <Time at={job.askedAt} />
          {job.endedAt ? (
            <>
              {" "}
              to <Time at={job.endedAt} />
            </>
          ) : null}
          {by.length ? ` · ${by.join(" · ")}` : ""}
        </Text>
        {job.error ? (
          <Text size="sm" mt={2}>
            <Mark tone="red">Last error{job.daemon ? ` on ${job.daemon}` : ""}</Mark> {sentence(job.error)}
          </Text>
        ) : null}
      </div>
      {job.state === "running" && (job.phase || job.progress) ? (
        <div style={{ flex: "1 1 240px", maxWidth: 420 }}>
          {job.phase ? <Text size="xs">{sentence(job.phase)}</Text> : null}
          {job.progress ? <ProgressLine progress={job.progress} label={job.title} /> : null}
        </div>
      ) : null}
    </li>
  );
}

export function JobsPage() {
  const { kind, state, cursor } = useSearch({ from: "/app/admin/jobs" });
  const navigate = useNavigate();
  const page = useQuery(jobsQuery({ kind, state, cursor }));
  const go = (next: { kind?: Job["kind"]; state?: Job["state"]; cursor?: string }) =>
    void navigate({ to: "/admin/jobs", search: next });
  const jobs = page.data?.jobs ?? [];
  return (
    <Page
      title="Jobs"
      lead="All long work of the appliance, newest first. Work whose daemon died is taken up by another"
    >
      <Group>
        <NativeSelect
          label="Kind"
          value={kind ?? ""}
          onChange={(e) => go({ state, kind: JOB_KINDS.find((k) => k === e.currentTarget.value) })}
          data={[{ value: "", label: "All" }, ...JOB_KINDS.map((k) => ({ value: k, label: KINDS[k] }))]}
        />
        <NativeSelect
          label="State"
          value={state ?? ""}
          onChange={(e) => go({ kind, state: JOB_STATES.find((s) => s === e.currentTarget.value) })}
          data={[{ value: "", label: "All" }, ...JOB_STATES.map((s) => ({ value: s, label: STATES[s].word }))]}
        />
      </Group>
      <ProblemAlert error={page.error} />
      {page.isPending ? (
        <Waiting what="Reading the jobs" />
      ) : jobs.length ? (
        <Stack gap="sm">
          <ol className="hf-steps hf-rows" aria-label="Jobs">
            {jobs.map((job) => (
              <JobLine key={`${job.kind}/${job.id}`} job={job} />
            ))}
          </ol>
          <Group>
            {cursor ? (
              <Button variant="default" onClick={() => go({ kind, state })}>
                Newest
              </Button>
            ) : null}
            {page.data?.next ? (
              <Button variant="default" onClick={() => go({ kind, state, cursor: page.data?.next ?? undefined })}>
                Older
              </Button>
            ) : null}
          </Group>
        </Stack>
      ) : page.error ? null : (
        <Empty title={kind || state ? "Nothing fits this choice" : "No work was asked for yet"}>
          Snapshots that are asked for, restores, collections, verifications, offsite copies and moves appear here as
          soon as they are asked for, and stay with what they did.
        </Empty>
      )}
    </Page>
  );
}
