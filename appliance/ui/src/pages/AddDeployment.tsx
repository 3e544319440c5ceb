// Adds a deployment step by step: an agent by one copied line, its arrival live, the connection string, what it may do there, the start.
import { Button, Checkbox, Group, PasswordInput, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState, type ReactNode } from "react";
import { client, data } from "../api/client";
import { agentsQuery, backupQuery, deploymentsQuery } from "../api/queries";
import { useNow } from "../app/now";
import { CopyLine } from "../components/CopyLine";
import { Job } from "../components/Job";
import { LinkButton } from "../components/Link";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { ProblemAlert } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes } from "../lib/format";
import { secondsOf } from "../lib/time";
import { startPhases } from "./phases";

/** An agent that asked for its work within this time counts as there, in seconds. */
const AGENT_SECONDS_MAX = 120;

export function AddDeploymentPage() {
  const { group } = useParams({ from: "/app/g/$group/deployments/add" });
  const { deployment: id } = useSearch({ from: "/app/g/$group/deployments/add" });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const now = useNow();
  const agents = useSuspenseQuery(agentsQuery(group)).data;
  const deployment = useSuspenseQuery(deploymentsQuery(group)).data.find((d) => d.id === id);
  const there = agents.filter((a) => !a.revoked && now - (secondsOf(a.lastSeen) ?? 0) < AGENT_SECONDS_MAX);
  const [uri, setUri] = useState("");
  const [store, setStore] = useState(true);
  const token = useMutation({
    mutationFn: () => data(client.POST("/groups/{group}/enrollTokens", { params: { path: { group } } })),
  });
  const add = useMutation({
    mutationFn: () =>
      data(
        client.POST("/groups/{group}/deployments", {
          params: { path: { group } },
          body: { uri, storeCredentials: store },
        }),
      ),
    onSuccess: async (made) => {
      setUri("");
      await queries.invalidateQueries({ queryKey: ["group", group] });
      await navigate({
        to: "/g/$group/deployments/add",
        params: { group },
        search: { deployment: made.id },
        replace: true,
      });
    },
  });
  const rs = deployment?.rs ?? "";
  const backup = useQuery({ ...backupQuery(group, rs), enabled: !!rs && deployment?.state === "found", retry: false });
  const start = useMutation({
    mutationFn: () =>
      data(client.POST("/groups/{group}/backups/{rs}/start", { params: { path: { group, rs } }, body: {} })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["group", group] }),
  });
  const denied = deployment?.privileges.filter((p) => !p.granted) ?? [];
  const job = backup.data;

  return (
    <Page
      title="Add a deployment"
      lead="A MongoDB 6.0 replica set, backed up continuously. About five minutes of your time."
    >
      <Step n={1} title="An agent beside the databases" done={there.length > 0}>
        <Text size="sm">
          The agent is one program. It only connects outwards, to this appliance and to the databases. One agent can
          look after many replica sets; a second one stands by.
        </Text>
        {there.length ? (
          <Stack gap={4}>
            {there.map((a) => (
              <Mark key={a.id} tone="ring">
                {a.hostname}, version {a.version}, asked for work <Time at={a.lastSeen} ago />
              </Mark>
            ))}
          </Stack>
        ) : (
          <Mark tone="grey">Waiting for an agent. This page notices it by itself.</Mark>
        )}
        {token.data ? (
          <>
            <Text size="sm">Run this on a machine that reaches the databases and this appliance:</Text>
            <CopyLine text={token.data.command} label="The line that starts an agent" />
            <Text size="xs" className="hf-dim">
              The line holds a secret. It enrols agents until <Time at={token.data.expires} />.
            </Text>
          </>
        ) : (
          <Group>
            <Button
              variant={there.length ? "default" : "filled"}
              loading={token.isPending}
              onClick={() => token.mutate()}
            >
              {there.length ? "Show the line for another agent" : "Show the line to run"}
            </Button>
          </Group>
        )}
        <ProblemAlert error={token.error} />
      </Step>

      <Step
        n={2}
        title="The replica set"
        done={!!deployment && deployment.state !== "discovering"}
        off={there.length === 0}
      >
        {deployment ? (
          <>
            <Text size="sm" className="hf-mono">
              {deployment.hosts.join(", ")}
            </Text>
            {deployment.state === "discovering" ? <Mark tone="grey">The agent is looking at it</Mark> : null}
            {deployment.state === "refused" ? (
              <>
                <Mark tone="red">It cannot be backed up</Mark>
                <Text size="sm">{deployment.refusal}</Text>
                <Group>
                  <LinkButton to="/g/$group/deployments/add" params={{ group }} search={{}} variant="default">
                    Try another connection string
                  </LinkButton>
                </Group>
              </>
            ) : null}
            {deployment.state === "found" ? (
              <Mark tone="ring">
                Replica set {deployment.rs}, MongoDB {deployment.version}, {bytes(deployment.storageBytes)} of data
                files
              </Mark>
            ) : null}
          </>
        ) : (
          <form
            onSubmit={(event) => {
              event.preventDefault();
              add.mutate();
            }}
          >
            <Stack gap="sm">
              <PasswordInput
                label="Connection string, as the agent's machine reaches it"
                description="mongodb://backup:password@db1:27017/?replicaSet=rs0. holdfast-agent role makes the least-privileged user."
                value={uri}
                onChange={(event) => setUri(event.currentTarget.value)}
                autoComplete="off"
                required
                withAsterisk={false}
              />
              <Checkbox
                label="Keep the connection string at the appliance (sealed), so that another agent can take over"
                checked={store}
                onChange={(event) => setStore(event.currentTarget.checked)}
              />
              <ProblemAlert error={add.error} />
              <Group>
                <Button type="submit" loading={add.isPending} disabled={!uri}>
                  Let the agent look
                </Button>
              </Group>
            </Stack>
          </form>
        )}
      </Step>

      <Step
        n={3}
        title="What the agent may do there"
        done={deployment?.state === "found" && denied.length === 0}
        off={!deployment}
      >
        {deployment?.state === "found" ? (
          denied.length === 0 ? (
            <Mark tone="ring">All {deployment.privileges.length} privileges are granted</Mark>
          ) : (
            <Stack gap={6}>
              {denied.map((p) => (
                <div key={p.need}>
                  <Mark tone="red">May not {p.need}</Mark>
                  <Text size="xs" className="hf-dim">
                    {p.error}
                  </Text>
                </div>
              ))}
              <CopyLine text="holdfast-agent role" label="Prints the role that grants all of this" />
            </Stack>
          )
        ) : (
          <Text size="sm" className="hf-dim">
            Checked as soon as the agent has looked.
          </Text>
        )}
      </Step>

      <Step n={4} title="The backup" done={job?.state === "active"} off={deployment?.state !== "found"}>
        {job ? (
          <>
            <Job phases={startPhases(job)} error={job.lastError ?? job.agentReport?.error} />
            <Text size="sm" className="hf-dim">
              You can close this page: the copy goes on, and the address of this page shows it again.
            </Text>
            {job.state === "active" ? (
              <Group>
                <LinkButton to="/g/$group/backups/$rs" params={{ group, rs }}>
                  Open the timeline
                </LinkButton>
              </Group>
            ) : null}
          </>
        ) : (
          <>
            <Text size="sm">Starting copies the data once from a secondary and then follows every write.</Text>
            <ProblemAlert error={start.error} />
            <Group>
              <Button loading={start.isPending} disabled={deployment?.state !== "found"} onClick={() => start.mutate()}>
                Start the backup
              </Button>
            </Group>
          </>
        )}
      </Step>
    </Page>
  );
}

function Step({
  n,
  title,
  done,
  off,
  children,
}: {
  n: number;
  title: string;
  done?: boolean;
  off?: boolean;
  children: ReactNode;
}) {
  return (
    <section className="hf-panel" aria-labelledby={`step-${n}`}>
      <Title order={2} id={`step-${n}`} mb={off ? 0 : "xs"} className={off ? "hf-dim" : undefined}>
        {n}. {title} {done ? <span aria-label="done">✓</span> : null}
      </Title>
      {off ? null : <Stack gap="sm">{children}</Stack>}
    </section>
  );
}
