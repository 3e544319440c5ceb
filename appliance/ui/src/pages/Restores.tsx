// The history of restores in the group: who, why, what, how far the links are used; paged by the server.
import { Button, Group, Stack } from "@mantine/core";
import { useInfiniteQuery, useSuspenseQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { backupsQuery, restoresPage, type Restore } from "../api/queries";
import { DataTable } from "../components/DataTable";
import { Link, LinkButton } from "../components/Link";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { count } from "../lib/format";
import { restoreState } from "./RestoreJob";

export function RestoresPage() {
  const { group } = useParams({ from: "/app/g/$group/restores" });
  const backups = useSuspenseQuery(backupsQuery(group)).data;
  const pages = useInfiniteQuery({
    queryKey: ["group", group, "restores"],
    queryFn: ({ pageParam }) => restoresPage(group, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
  });
  const rows = useMemo(() => pages.data?.pages.flatMap((page) => page.restores) ?? [], [pages.data]);
  const columns = useMemo<ColumnDef<Restore>[]>(
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
      { id: "who", header: "By", accessorFn: (r) => r.createdBy },
      { id: "why", header: "Why", meta: { wrap: true }, accessorFn: (r) => r.reason || "—" },
      { id: "rs", header: "Backup", accessorFn: (r) => r.rs ?? "pulled from elsewhere" },
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
          const { tone, word } = restoreState(r.revoked ? "revoked" : r.state);
          return <Mark tone={tone}>{word}</Mark>;
        },
      },
      {
        id: "uses",
        header: "Downloads",
        meta: { right: true },
        accessorFn: (r) => r.usesSpent,
        cell: ({ row: { original: r } }) => `${count(r.usesSpent)} of ${count(r.uses)}`,
      },
    ],
    [group],
  );
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
      <ProblemAlert error={pages.error} />
      {pages.isPending ? (
        <Waiting what="Reading the restores" />
      ) : rows.length ? (
        <Stack gap="sm">
          <DataTable rows={rows} columns={columns} label="Restores" rowId={(r) => r.id} />
          {pages.hasNextPage ? (
            <Group>
              <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
                Older restores
              </Button>
            </Group>
          ) : null}
        </Stack>
      ) : pages.error ? null : (
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
