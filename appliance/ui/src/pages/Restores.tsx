// The history of restores in the group.
import { useQueries, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { backupsQuery, restoresQuery, type Restore } from "../api/queries";
import { DataTable } from "../components/DataTable";
import { Link, LinkButton } from "../components/Link";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { bytes } from "../lib/format";
import { restoreState } from "./RestoreJob";

type Row = Restore & { rs: string };

export function RestoresPage() {
  const { group } = useParams({ from: "/app/g/$group/restores" });
  const backups = useSuspenseQuery(backupsQuery(group)).data;
  const lists = useQueries({ queries: backups.map((b) => restoresQuery(group, b.rs)) });
  const rows: Row[] = lists
    .flatMap((list, n) => (list.data ?? []).map((r) => ({ ...r, rs: backups[n]!.rs })))
    .sort((a, b) => b.created.localeCompare(a.created));
  const columns = useMemo<ColumnDef<Row>[]>(
    () => [
      {
        id: "created",
        header: "Asked for",
        accessorFn: (r) => r.created,
        cell: ({ row: { original: r } }) => (
          <Link to="/g/$group/restores/$restore" params={{ group, restore: r.id }}>
            <Time at={r.created} />
          </Link>
        ),
      },
      { id: "rs", header: "Backup", accessorFn: (r) => r.rs },
      {
        id: "at",
        header: "State at",
        accessorFn: (r) => r.at ?? "",
        cell: ({ row: { original: r } }) => <Time at={r.at} />,
      },
      {
        id: "state",
        header: "State",
        accessorFn: (r) => r.state,
        cell: ({ row: { original: r } }) => {
          const { tone, word } = restoreState(r.state);
          return <Mark tone={tone}>{word}</Mark>;
        },
      },
      { id: "format", header: "Format", accessorFn: (r) => r.format },
      {
        id: "size",
        header: "Size",
        meta: { right: true },
        accessorFn: (r) => r.bytes ?? 0,
        cell: ({ row: { original: r } }) => (r.bytes ? bytes(r.bytes) : "—"),
      },
      {
        id: "expires",
        header: "Link until",
        accessorFn: (r) => r.expires,
        cell: ({ row: { original: r } }) => <Time at={r.expires} />,
      },
    ],
    [group],
  );
  const error = lists.find((l) => l.error)?.error;
  const pending = lists.some((l) => l.isPending);
  const first = backups.find((b) => b.ranges.length > 0);
  return (
    <Page
      title="Restores"
      lead="Every restore that was asked for in this group, newest first"
      actions={
        first && rows.length ? (
          <LinkButton to="/g/$group/backups/$rs/restore" params={{ group, rs: first.rs }} search={{}}>
            Restore…
          </LinkButton>
        ) : null
      }
    >
      <ProblemAlert error={error} />
      {pending ? (
        <Waiting what="Reading the restores" />
      ) : rows.length ? (
        <DataTable rows={rows} columns={columns} label="Restores" rowId={(r) => r.id} />
      ) : (
        <Empty
          title="Nothing was restored yet"
          action={
            first ? (
              <LinkButton to="/g/$group/backups/$rs/restore" params={{ group, rs: first.rs }} search={{}}>
                Try a restore
              </LinkButton>
            ) : null
          }
        >
          A restore is a copy: it touches nothing that runs. Trying one now, on a quiet day, shows how long it takes and
          that it opens.
        </Empty>
      )}
    </Page>
  );
}
