// All groups that this person sees, and the forms to make or join one.
import { useSuspenseQuery } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo } from "react";
import { groupsQuery } from "../api/queries";
import { CopyId } from "../components/CopyLine";
import { DataTable } from "../components/DataTable";
import { Link } from "../components/Link";
import { Page } from "../components/Page";
import { Time } from "../components/Time";
import { GroupForms } from "./NoGroup";

type Row = { id: string; name: string; created: string };

export function GroupsPage() {
  const groups = useSuspenseQuery(groupsQuery).data;
  const columns = useMemo<ColumnDef<Row>[]>(
    () => [
      {
        id: "name",
        header: "Group",
        accessorFn: (g) => g.name,
        cell: ({ row: { original } }) => (
          <Link to="/g/$group" params={{ group: original.name }}>
            {original.name}
          </Link>
        ),
      },
      {
        id: "created",
        header: "Made",
        accessorFn: (g) => g.created,
        cell: ({ row: { original } }) => <Time at={original.created} />,
      },
      {
        id: "id",
        header: "Id",
        enableSorting: false,
        cell: ({ row: { original } }) => <CopyId id={original.id} short={12} />,
      },
    ],
    [],
  );
  return (
    <Page title="Groups" lead="Each group has its own people, agents and backups; nobody sees into another">
      <DataTable rows={groups} columns={columns} label="Groups" rowId={(g) => g.id} />
      <GroupForms />
    </Page>
  );
}
