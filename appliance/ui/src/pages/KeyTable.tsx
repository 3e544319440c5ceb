// A table of API keys with their state, and revoking one: of a group, of the appliance, or one's own.
import { Button } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import type { ColumnDef } from "@tanstack/react-table";
import { useMemo, useState } from "react";
import { roleLabel } from "../api/access";
import type { ApiKey } from "../api/queries";
import { useNow } from "../app/now";
import { Confirm } from "../components/Confirm";
import { DataTable } from "../components/DataTable";
import { Mark } from "../components/Mark";
import { Time } from "../components/Time";
import { secondsOf } from "../lib/time";

interface Props {
  keys: ApiKey[];
  label: string;
  /** What else is told of a key, after its role. */
  more?: ColumnDef<ApiKey>[];
  /** Takes a key away; none: the person may not. */
  revoke: ((key: string) => Promise<unknown>) | null;
  /** What is read anew after that. */
  queryKey: readonly unknown[];
}

function State({ value }: { value: ApiKey }) {
  const ended = useNow() > (secondsOf(value.expires) ?? Number.POSITIVE_INFINITY);
  if (value.revoked) return <Mark tone="off">Revoked</Mark>;
  return ended ? <Mark tone="off">Ended</Mark> : <Mark tone="ring">Works</Mark>;
}

const NONE: ColumnDef<ApiKey>[] = [];

export function KeyTable({ keys, label, more = NONE, revoke, queryKey }: Props) {
  const queries = useQueryClient();
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  const mayRevoke = revoke !== null;
  const columns = useMemo<ColumnDef<ApiKey>[]>(
    () => [
      { id: "label", header: "For", accessorFn: (k) => k.label },
      { id: "role", header: "Role", accessorFn: (k) => roleLabel(k.role) },
      ...more,
      {
        id: "state",
        header: "State",
        enableSorting: false,
        cell: ({ row: { original } }) => <State value={original} />,
      },
      { id: "from", header: "Works from", accessorFn: (k) => k.addresses.join(", ") || "everywhere" },
      {
        id: "expires",
        header: "Until",
        accessorFn: (k) => k.expires ?? "",
        cell: ({ row: { original } }) => <Time at={original.expires} none="for ever" />,
      },
      {
        id: "act",
        header: "",
        enableSorting: false,
        cell: ({ row: { original } }) =>
          mayRevoke && !original.revoked ? (
            <Button
              size="compact-xs"
              variant="default"
              aria-label={`Revoke ${original.label}`}
              onClick={() => setRevoking(original)}
            >
              Revoke…
            </Button>
          ) : null,
      },
    ],
    [more, mayRevoke],
  );
  return (
    <>
      <DataTable rows={keys} columns={columns} label={label} rowId={(k) => k.id} />
      <Confirm
        opened={revoking !== null}
        title={`Revoke the key "${revoking?.label ?? ""}"`}
        button="Revoke"
        onClose={() => setRevoking(null)}
        onConfirm={async () => {
          await revoke?.(revoking!.id);
          await queries.invalidateQueries({ queryKey });
        }}
      >
        <p>
          Programs that use it are refused from their next request on. A key cannot be brought back; a new one can be
          made.
        </p>
      </Confirm>
    </>
  );
}
