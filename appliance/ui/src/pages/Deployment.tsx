// One deployment: verdict, topology, what the agent may do there, and its backup.
import { Button, Group, MultiSelect, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { client } from "../api/client";
import { agentsQuery, backupQuery, daemonsQuery, deploymentsQuery, overviewQuery } from "../api/queries";
import { useMay } from "../app/session";
import { Confirm } from "../components/Confirm";
import { CopyId } from "../components/CopyLine";
import { Job } from "../components/Job";
import { Link, LinkButton } from "../components/Link";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert } from "../components/Problem";
import { say } from "../components/said";
import { Time } from "../components/Time";
import { Topology } from "../components/Topology";
import { VerdictBanner } from "../components/Verdict";
import { bytes } from "../lib/format";
import { duration } from "../lib/time";
import { nameOf } from "../lib/names";
import { ChangesAlertBanner } from "./ChangesAlert";
import { startPhases } from "./phases";
import { TerminateButton, TerminatedBanner } from "./Termination";

export function DeploymentPage() {
  const { group, deployment: id } = useParams({ from: "/app/g/$group/deployments/$deployment" });
  const deployment = useSuspenseQuery(deploymentsQuery(group)).data.find((d) => d.id === id);
  const row = useSuspenseQuery(overviewQuery(group)).data.find((o) => o.deployment === id);
  const agents = useSuspenseQuery(agentsQuery(group)).data;
  const rs = deployment?.rs ?? "";
  const backup = useQuery({ ...backupQuery(group, rs), enabled: !!row?.state && !!rs });
  const may = useMay(group);
  const queries = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [stopping, setStopping] = useState(false);
  const [resyncing, setResyncing] = useState(false);
  const [removing, setRemoving] = useState(false);
  const navigate = useNavigate();
  const [labels, setLabels] = useState<string[]>([]);
  const daemons = useQuery({ ...daemonsQuery, enabled: may.daemons }).data ?? [];
  const daemonLabels = [...new Set(daemons.flatMap((d) => d.labels))];

  const looking = useMutation({
    mutationFn: () =>
      client.POST("/groups/{group}/deployments/{deployment}/look", { params: { path: { group, deployment: id } } }),
    onSuccess: async () => {
      say("An agent of the group looks at it.");
      await queries.invalidateQueries({ queryKey: ["group", group] });
    },
  });

  if (!deployment || !row) {
    return (
      <Empty title="There is no such deployment in this group">
        It was removed, or it belongs to another group. Go to{" "}
        <Link to="/g/$group/deployments" params={{ group }}>
          the deployments
        </Link>
        .
      </Empty>
    );
  }
  const params = { params: { path: { group, rs } } };
  const renew = () => queries.invalidateQueries({ queryKey: ["group", group] });
  const start = async () => {
    setBusy(true);
    setError(null);
    try {
      await client.POST("/groups/{group}/backups/{rs}/start", { ...params, body: { daemonLabels: labels } });
      await renew();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const job = backup.data;
  const terminated = job?.state === "terminated";
  const runs = job && !["stopped", "failed", "terminated"].includes(job.state);
  const denied = deployment.privileges.filter((p) => !p.granted);
  const agent = agents.find((a) => a.id === (job?.agent ?? deployment.agent));

  return (
    <Page
      title={nameOf(deployment)}
      lead={
        <>
          Replica set{deployment.version ? `, MongoDB ${deployment.version}` : ""} · id <CopyId id={deployment.id} />
        </>
      }
      actions={
        <>
          {job ? (
            <LinkButton to="/g/$group/backups/$rs" params={{ group, rs }}>
              Timeline
            </LinkButton>
          ) : null}
          {may.backup && deployment.state === "found" && !runs && !terminated ? (
            <>
              {!job && daemonLabels.length ? (
                <MultiSelect
                  aria-label="Labels that the daemon must have"
                  placeholder="any daemon"
                  data={daemonLabels}
                  value={labels}
                  onChange={setLabels}
                  w={200}
                />
              ) : null}
              <Button loading={busy} onClick={() => void start()}>
                {job ? "Start the backup again" : "Start the backup"}
              </Button>
            </>
          ) : null}
          {may.deployments ? (
            <Button variant="default" loading={looking.isPending} onClick={() => looking.mutate()}>
              Look again
            </Button>
          ) : null}
          {may.deployments && !row.state ? (
            <Button variant="default" onClick={() => setRemoving(true)}>
              Remove…
            </Button>
          ) : null}
          {may.backup && job && !terminated ? <TerminateButton group={group} rs={rs} /> : null}
          {may.backup && runs ? (
            <>
              <Button variant="default" onClick={() => setResyncing(true)}>
                Resync…
              </Button>
              <Button variant="default" onClick={() => setStopping(true)}>
                Stop…
              </Button>
            </>
          ) : null}
        </>
      }
    >
      <ProblemAlert error={error ?? looking.error} />
      <VerdictBanner verdict={row.verdict} />
      {terminated ? <TerminatedBanner group={group} rs={rs} /> : null}
      {job?.changesAlert ? <ChangesAlertBanner group={group} rs={rs} alert={job.changesAlert} /> : null}
      {deployment.refusal ? (
        <section className="hf-panel">
          <Mark tone="red">Refused</Mark>
          <Text size="sm" mt={4}>
            {deployment.refusal}
          </Text>
        </section>
      ) : null}
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <section className="hf-panel">
          <Title order={2} mb="sm">
            Topology
          </Title>
          <Topology
            hosts={deployment.hosts}
            members={deployment.members}
            seen={deployment.discovered ?? null}
            reads={job?.agentReport?.member ?? null}
            agent={agent?.hostname ?? null}
            daemon={job?.daemon ?? null}
            lag={job?.lagSeconds ?? null}
          />
        </section>
        <section className="hf-panel">
          <Title order={2} mb="sm">
            {job?.state === "active" ? "Backup" : "Start of the backup"}
          </Title>
          {job ? (
            job.state === "active" ? (
              <Stack gap="md">
                <dl className="hf-facts">
                  <Fact name="Head">{job.phase}</Fact>
                  <Fact name="Behind the source">
                    {job.lagSeconds === null || job.lagSeconds === undefined ? "unknown" : duration(job.lagSeconds)}
                  </Fact>
                  <Fact name="Agent">{job.agentReport?.phase ?? "no word yet"}</Fact>
                  <Fact name="Waiting to be sent">{bytes(job.agentReport?.spoolBytes ?? 0)}</Fact>
                  <Fact name="Head on disk">{bytes(job.headBytes)}</Fact>
                  <Fact name="Active since">
                    <Time at={job.stateSince} />
                  </Fact>
                </dl>
                {job.lastError || job.agentReport?.error ? (
                  <Text size="sm">
                    <Mark tone="amber">Last error</Mark> {job.lastError ?? job.agentReport?.error}
                  </Text>
                ) : null}
              </Stack>
            ) : (
              <Job phases={startPhases(job)} error={job.lastError ?? job.agentReport?.error} />
            )
          ) : (
            <Text size="sm" className="hf-dim">
              {deployment.state === "found"
                ? "No backup was started. Starting one copies the data once and then follows every write."
                : "An agent must look at the replica set first."}
            </Text>
          )}
        </section>
      </SimpleGrid>
      <section className="hf-panel">
        <Title order={2} mb="sm">
          What the agent may do there
        </Title>
        {deployment.privileges.length === 0 ? (
          <Text size="sm" className="hf-dim">
            No agent has looked yet.
          </Text>
        ) : denied.length === 0 ? (
          <Mark tone="ring">All {deployment.privileges.length} privileges that a backup needs are granted</Mark>
        ) : (
          <ul className="hf-steps">
            {denied.map((p) => (
              <li key={p.need}>
                <span />
                <div>
                  <Mark tone="red">May not {p.need}</Mark>
                  <Text size="xs" className="hf-dim">
                    {p.error}. <code>holdfast-agent role</code> makes the role that grants it.
                  </Text>
                </div>
              </li>
            ))}
          </ul>
        )}
        <Text size="xs" className="hf-dim" mt="xs">
          {deployment.credentialsStored
            ? "The connection string is kept sealed by the appliance and is never shown again."
            : "The connection string stays in the agent's own file."}
        </Text>
      </section>
      <Confirm
        opened={stopping}
        title={`Stop the backup of ${rs}`}
        button="Stop the backup"
        onClose={() => setStopping(false)}
        onConfirm={async () => {
          await client.POST("/groups/{group}/backups/{rs}/stop", params);
          await renew();
        }}
      >
        <p>
          Writes from now on are not backed up. What can be restored now stays restorable as long as retention keeps it.
        </p>
        <p>Starting again copies all data anew; the time in between stays a gap.</p>
      </Confirm>
      <Confirm
        opened={resyncing}
        title={`Resync ${rs}`}
        button="Copy everything anew"
        onClose={() => setResyncing(false)}
        onConfirm={async () => {
          await client.POST("/groups/{group}/backups/{rs}/resync", { ...params, body: {} });
          await renew();
        }}
      >
        <p>
          All data is copied anew. What can be restored now stays restorable. Writes from now until the copy is complete
          cannot be restored to the second: they stay a gap.
        </p>
      </Confirm>
      <Confirm
        opened={removing}
        title={`Remove ${nameOf(deployment)}`}
        button="Remove it"
        onClose={() => setRemoving(false)}
        onConfirm={async () => {
          await client.DELETE("/groups/{group}/deployments/{deployment}", {
            params: { path: { group, deployment: id } },
          });
          await renew();
          await navigate({ to: "/g/$group/deployments", params: { group } });
        }}
      >
        <p>
          The appliance forgets this replica set and its connection string. It has no backup: no stored data is lost,
          and nothing changes at the databases.
        </p>
        <p>It can be added again at any time, with its connection string.</p>
      </Confirm>
      <Group />
    </Page>
  );
}

export function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className="hf-num">{children}</dd>
    </div>
  );
}
