// Every list: rows of 34 px, sortable heads, at most seven columns; on a phone each row becomes a small sheet of labelled values.
import {
  flexRender,
  getCoreRowModel,
  getSortedRowModel,
  useReactTable,
  type ColumnDef,
  type SortingState,
} from "@tanstack/react-table";
import { Button, Group, Text } from "@mantine/core";
import { useState } from "react";
import { count } from "../lib/format";

declare module "@tanstack/react-table" {
  // The type parameters are those of the interface that is extended.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  interface ColumnMeta<TData, TValue> {
    right?: boolean;
    wrap?: boolean;
  }
}

interface Props<T> {
  rows: T[];
  // A column's value may have any type; the table only compares and shows it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  columns: ColumnDef<T, any>[];
  label: string;
  rowId: (row: T) => string;
  initialSort?: SortingState;
  chosen?: string;
  onRow?: (row: T) => void;
}

/** Rows drawn at once; more are a click away. */
const PAGE_ROWS = 100;

export function DataTable<T>({ rows, columns, label, rowId, initialSort = [], chosen, onRow }: Props<T>) {
  const [sorting, setSorting] = useState<SortingState>(initialSort);
  const [limit, setLimit] = useState(PAGE_ROWS);
  const table = useReactTable({
    data: rows,
    columns,
    state: { sorting },
    onSortingChange: setSorting,
    getRowId: rowId,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
  });
  const all = table.getRowModel().rows;
  return (
    <>
      <div className="hf-tablebox" tabIndex={0} role="region" aria-label={label}>
        <table className="hf-table hf-stack">
          <thead>
            {table.getHeaderGroups().map((group) => (
              <tr key={group.id}>
                {group.headers.map((header) => {
                  const sorted = header.column.getIsSorted();
                  const right = header.column.columnDef.meta?.right;
                  return (
                    <th
                      key={header.id}
                      scope="col"
                      className={right ? "hf-right" : undefined}
                      aria-sort={sorted === "asc" ? "ascending" : sorted === "desc" ? "descending" : undefined}
                    >
                      {header.column.columnDef.header === "" ? (
                        <span className="hf-hidden">Actions</span>
                      ) : header.column.getCanSort() ? (
                        <button type="button" onClick={header.column.getToggleSortingHandler()}>
                          {flexRender(header.column.columnDef.header, header.getContext())}
                          {sorted === "asc" ? " ↑" : sorted === "desc" ? " ↓" : ""}
                        </button>
                      ) : (
                        flexRender(header.column.columnDef.header, header.getContext())
                      )}
                    </th>
                  );
                })}
              </tr>
            ))}
          </thead>
          <tbody>
            {all.slice(0, limit).map((row) => (
              <tr
                key={row.id}
                data-chosen={chosen === row.id ? "" : undefined}
                onClick={onRow ? () => onRow(row.original) : undefined}
                style={onRow ? { cursor: "pointer" } : undefined}
              >
                {row.getVisibleCells().map((cell) => {
                  const { meta, header } = cell.column.columnDef;
                  return (
                    <td
                      key={cell.id}
                      data-label={typeof header === "string" ? header : ""}
                      className={meta?.right ? "hf-right" : meta?.wrap ? "hf-wrap" : undefined}
                    >
                      <span>{flexRender(cell.column.columnDef.cell, cell.getContext())}</span>
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {all.length > limit ? (
        <Group mt="xs" gap="sm">
          <Text size="sm" className="hf-dim">
            {count(limit)} of {count(all.length)} are shown
          </Text>
          <Button size="compact-sm" variant="default" onClick={() => setLimit(limit + PAGE_ROWS)}>
            Show {count(Math.min(PAGE_ROWS, all.length - limit))} more
          </Button>
        </Group>
      ) : null}
    </>
  );
}
