// The audit log: who changed what, from where; paged by the server, exportable.
import { Button, Drawer, Group, Stack, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import * as access from "../api/access";
import { DataTable } from "../components/DataTable";
import { Page } from "../components/Page";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";
import { sentence } from "../lib/format";
import { Fact } from "./Deployment";

export function AuditPage() {
  const { group } = useParams({ from: "/app/g/$group/audit" });
  return <Audit group={group} />;
}

export function ApplianceAuditPage() {
  return <Audit />;
}

function Audit({ group }: { group?: string }) {
  const [open, setOpen] = useState<access.AuditEntry | null>(null);
  const pages = useInfiniteQuery({
    queryKey: group ? ["group", group, "audit"] : ["audit"],
    queryFn: ({ pageParam }) => (group ? access.groupAudit(group, pageParam) : access.allAudit(pageParam)),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
  });
  const rows = useMemo(() => pages.data?.pages.flatMap((page) => page.entries) ?? [], [pages.data]);
  const columns = useMemo<ColumnDef<access.AuditEntry>[]>(
    () => [
      { id: "at", header: "When", accessorFn: (e) => e.at, cell: ({ row: { original } }) => <Time at={original.at} /> },
      {
        id: "who",
        header: "Who",
        accessorFn: (e) => e.who || "nobody",
        cell: ({ row: { original: e } }) => e.who || <span className="hf-dim">not signed in</span>,
      },
      { id: "action", header: "What", accessorFn: (e) => sentence(e.action) },
      { id: "target", header: "To what", meta: { wrap: true }, accessorFn: (e) => e.target || "—" },
      { id: "from", header: "From", accessorFn: (e) => e.address || "—" },
      {
        id: "open",
        header: "",
        enableSorting: false,
        cell: ({ row: { original: e } }) => (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={`Details: ${e.action}, ${e.at}`}
            onClick={() => setOpen(e)}
          >
            Details
          </Button>
        ),
      },
    ],
    [],
  );
  const base = group ? `/api/v1/groups/${encodeURIComponent(group)}/audit` : "/api/v1/audit";
  return (
    <Page
      title="Audit"
      lead={
        group
          ? `Everything that changed something in ${group}, newest first`
          : "Everything that changed something on this appliance, newest first"
      }
      actions={
        <>
          <Button component="a" variant="default" href={`${base}?format=csv`} download="audit.csv">
            Export CSV
          </Button>
          <Button component="a" variant="default" href={`${base}?format=lines`} download="audit.jsonl">
            Export JSON lines
          </Button>
        </>
      }
    >
      <ProblemAlert error={pages.error} />
      {pages.isPending ? (
        <Waiting what="Reading the log" />
      ) : rows.length ? (
        <Stack gap="sm">
          <DataTable rows={rows} columns={columns} label="Audit log" rowId={(e) => e.id} />
          {pages.hasNextPage ? (
            <Group>
              <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
                Older entries
              </Button>
            </Group>
          ) : null}
        </Stack>
      ) : pages.error ? null : (
        <Empty title="Nothing was changed yet">
          Every change is noted here: who, from which address, before and after.
        </Empty>
      )}
      <Drawer
        opened={!!open}
        onClose={() => setOpen(null)}
        position="right"
        title="Entry"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        {open ? (
          <Stack>
            <Text fw={600}>{sentence(open.action)}</Text>
            <dl className="hf-facts">
              <Fact name="When">
                <Time at={open.at} />
              </Fact>
              <Fact name="Who">{open.who || "not signed in"}</Fact>
              <Fact name="As">{open.kind || "unknown"}</Fact>
              <Fact name="From">{open.address || "unknown"}</Fact>
              <Fact name="To what">{open.target || "—"}</Fact>
            </dl>
            {open.detail ? <Text size="sm">{open.detail}</Text> : null}
            {open.before || open.after ? (
              <>
                <Text size="sm" fw={600}>
                  Before
                </Text>
                <Json value={open.before} />
                <Text size="sm" fw={600}>
                  After
                </Text>
                <Json value={open.after} />
              </>
            ) : null}
          </Stack>
        ) : null}
      </Drawer>
    </Page>
  );
}

function Json({ value }: { value: unknown }) {
  return (
    <div className="hf-copy">
      <pre tabIndex={0}>{value === null || value === undefined ? "nothing" : JSON.stringify(value, null, 2)}</pre>
    </div>
  );
}
