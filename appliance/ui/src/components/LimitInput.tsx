// A bandwidth limit in MiB a second; empty or 0: none.
import { NumberInput } from "@mantine/core";

const MIB = 1 << 20;

/** What was typed. */
export type Limit = number | string;

/** As the API takes it; null: none. */
export const bytesPerSecond = (limit: Limit): number | null =>
  Number(limit) > 0 ? Math.round(Number(limit) * MIB) : null;

/** As it is typed. */
export const limitOf = (bytes: number | null | undefined): Limit => (bytes ? bytes / MIB : "");

export function LimitInput({
  value,
  onChange,
  description,
}: {
  value: Limit;
  onChange: (limit: Limit) => void;
  description: string;
}) {
  return (
    <NumberInput label="Limit" description={description} suffix=" MiB/s" min={0} value={value} onChange={onChange} />
  );
}
