// "Is it safe?": every deployment with its verdict, the worst first, and what to do next.
import { Text } from "@mantine/core";
import { useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { groupOverviewQuery, type Overview } from "../api/queries";
import { useNow } from "../app/now";
import { useMay } from "../app/session";
import { DataTable } from "../components/DataTable";
import { Link, LinkButton } from "../components/Link";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty } from "../components/Problem";
import { Time } from "../components/Time";
import { toneOf, VerdictMark } from "../components/Verdict";
import { counted } from "../lib/format";
import { nameOf } from "../lib/names";
import { duration } from "../lib/time";
import { PolicyForm } from "./Policy";

function Rpo({ at }: { at: number | null | undefined }) {
  const now = useNow();
  return <>{at === null || at === undefined ? "—" : duration(Math.max(0, Math.floor(now - at)))}</>;
}

export function OverviewPage() {
  const { group } = useParams({ from: "/app/g/$group/" });
  const { deployments: rows, verdict } = useSuspenseQuery(groupOverviewQuery(group)).data;
  const may = useMay(group);
  const columns = useMemo<ColumnDef<Overview>[]>(
    () => [
      {
        id: "name",
        header: "Deployment",
        accessorFn: nameOf,
        cell: ({ row: { original } }) => (
          <Link to="/g/$group/deployments/$deployment" params={{ group, deployment: original.deployment }}>
            {nameOf(original)}
          </Link>
        ),
      },
      {
        id: "verdict",
        header: "Verdict",
        enableSorting: false,
        meta: { wrap: true },
        cell: ({ row: { original } }) => (
          <span>
            <VerdictMark verdict={original.verdict} />
            <Text size="xs" className="hf-dim" span display="block">
              {original.verdict.sentence}
              {original.verdict.action ? `. Next: ${original.verdict.action}` : ""}
            </Text>
          </span>
        ),
      },
      {
        id: "to",
        header: "Protected up to",
        accessorFn: (r) => r.protectedTo?.t ?? 0,
        cell: ({ row: { original } }) => <Time at={original.protectedTo?.t ?? null} none="nothing yet" />,
      },
      {
        id: "rpo",
        header: "Loss if it failed now",
        meta: { right: true },
        accessorFn: (r) => r.rpoSeconds ?? Number.MAX_SAFE_INTEGER,
        cell: ({ row: { original } }) => <Rpo at={original.protectedTo?.t} />,
      },
      {
        id: "snapshot",
        header: "Last snapshot",
        accessorFn: (r) => r.lastSnapshot?.at ?? "",
        cell: ({ row: { original } }) => <Time at={original.lastSnapshot?.at} ago none="none yet" />,
      },
      {
        id: "proof",
        header: "Last proof",
        accessorFn: (r) => r.lastProof?.at ?? "",
        cell: ({
          row: {
            original: { lastProof },
          },
        }) =>
          lastProof ? (
            <Mark tone={lastProof.good ? "green" : "red"}>
              <Time at={lastProof.at} ago />
            </Mark>
          ) : (
            <Mark tone="ring">none yet</Mark>
          ),
      },
      {
        id: "go",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) =>
          original.rs && original.protectedTo ? (
            <Link to="/g/$group/backups/$rs" params={{ group, rs: original.rs }}>
              Timeline
            </Link>
          ) : null,
      },
    ],
    [group],
  );
  return (
    <Page
      title="Overview"
      lead={`Group ${group}: ${counted(rows.length, "deployment")}`}
      actions={
        may.agents && rows.length ? (
          <LinkButton to="/g/$group/deployments/add" params={{ group }} variant="default">
            Add a deployment
          </LinkButton>
        ) : null
      }
    >
      {rows.length === 0 ? (
        <Empty
          title="Nothing is backed up in this group yet"
          action={
            may.agents ? (
              <LinkButton to="/g/$group/deployments/add" params={{ group }}>
                Add a deployment
              </LinkButton>
            ) : null
          }
        >
          <p>
            A deployment is a MongoDB replica set. One line, run beside its databases, starts an agent; the agent looks
            at the replica set, says what it may not do there, copies the data once and then follows every write.
          </p>
          <p>From then on this page says up to which second each deployment is protected.</p>
        </Empty>
      ) : (
        <>
          <section className="hf-banner" data-tone={toneOf(verdict.level)} aria-label="Is it safe?">
            <Text fw={600} size="lg">
              {verdict.sentence}
            </Text>
            <Text size="sm" mt={2}>
              {verdict.detail}
            </Text>
          </section>
          <DataTable rows={rows} columns={columns} label="Deployments, the worst first" rowId={(r) => r.deployment} />
          <PolicyForm key={group} group={group} />
        </>
      )}
    </Page>
  );
}
