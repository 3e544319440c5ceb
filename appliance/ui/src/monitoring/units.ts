// Values of metrics in their units.
import { bytes, rateOf } from "../lib/format";
import { duration } from "../lib/time";

const MEBIBYTE = 1_048_576;

const small = (n: number) => (Math.abs(n) < 1 && n !== 0 ? n.toPrecision(2) : rateOf(n));

const UNITS: Record<string, (n: number) => string> = {
  BYTES: bytes,
  BYTES_PER_SECOND: (n) => `${bytes(n)}/s`,
  MEGABYTES: (n) => bytes(n * MEBIBYTE),
  GIGABYTES_PER_HOUR: (n) => `${small(n)} GiB/h`,
  MILLISECONDS: (n) => `${small(n)} ms`,
  SECONDS: duration,
  PERCENT: (n) => `${small(n)} %`,
  SCALAR: small,
  SCALAR_PER_SECOND: (n) => `${small(n)}/s`,
};

/** How values of a unit are written. */
export const formatOf = (unit: string): ((n: number) => string) => UNITS[unit] ?? small;
