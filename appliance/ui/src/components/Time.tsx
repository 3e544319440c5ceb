// An instant in the viewer's zone, its zone printed, with UTC on hover and focus.
import { Tooltip } from "@mantine/core";
import { useNow } from "../app/now";
import { useZone } from "../app/zone";
import { relative, secondsOf, shown, utc } from "../lib/time";

interface Props {
  /** RFC 3339, or seconds since 1970. */
  at: string | number | null | undefined;
  /** Shows "4 s ago" instead of the clock; the clock is on hover. */
  ago?: boolean;
  none?: string;
}

export function Time({ at, ago, none = "never" }: Props) {
  const { zone } = useZone();
  const now = useNow();
  const seconds = typeof at === "number" ? at : secondsOf(at);
  if (seconds === null) return <span className="hf-dim">{none}</span>;
  const clock = shown(seconds, zone, now);
  const label = ago ? `${clock} · ${utc(seconds)}` : `${utc(seconds)} · ${relative(seconds, now)}`;
  return (
    <Tooltip label={label}>
      <time dateTime={utc(seconds)} className="hf-num">
        {ago ? relative(seconds, now) : clock}
      </time>
    </Tooltip>
  );
}
