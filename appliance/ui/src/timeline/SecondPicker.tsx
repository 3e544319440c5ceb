// A second, typed in any zone, and what can be said of it: restorable, or the nearest seconds before and after with the reason between.
import { Autocomplete, Button, Group, Stack, Text, TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import { useNow } from "../app/now";
import { useZone } from "../app/zone";
import { Mark } from "../components/Mark";
import { browserZone, isZone, parseTyped, shown, utc, wallClock } from "../lib/time";
import type { Chosen } from "./instant";
import { answer, lastSecond, type Chain, type Range } from "./restorable";

interface Props {
  chosen: Chosen | null;
  onChoose: (chosen: Chosen) => void;
  ranges: Range[];
  chains: Chain[];
}

const ZONES = ["UTC", ...(typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [])];

export function SecondPicker({ chosen, onChoose, ranges, chains }: Props) {
  const own = useZone();
  const now = useNow();
  const [zone, setZone] = useState(own.zone);
  const [typed, setTyped] = useState<string | null>(null);
  const good = isZone(zone) ? zone : own.zone;
  const written = chosen
    ? chosen.i === undefined
      ? wallClock(chosen.second, good)
      : `${chosen.second},${chosen.i}`
    : "";
  const value = typed ?? written;
  const read = useMemo(() => (typed === null ? null : parseTyped(typed, good)), [typed, good]);
  const first = ranges[0]?.from.t;
  const last = ranges.length ? lastSecond(ranges.at(-1)!) : undefined;

  const take = (text: string) => {
    setTyped(text);
    const found = parseTyped(text, good);
    if (found.kind === "second") onChoose({ second: found.seconds });
    if (found.kind === "optime") onChoose({ second: found.t, i: found.i });
  };
  const choose = (second: number) => {
    setTyped(null);
    onChoose({ second });
  };
  const found = chosen
    ? chosen.i === undefined
      ? answer(chosen.second, ranges, chains)
      : { ok: true as const }
    : null;

  return (
    <Stack gap="xs">
      <Group gap="sm" align="flex-start">
        <TextInput
          label="Second"
          description="2026-11-22 14:03:07, RFC 3339, or SECONDS,INCREMENT"
          value={value}
          error={read?.kind === "error" && value ? read.message : undefined}
          onChange={(event) => take(event.currentTarget.value)}
          onBlur={() => {
            if (read?.kind !== "error") setTyped(null);
          }}
          className="hf-num"
          style={{ flex: "1 1 240px" }}
          autoComplete="off"
        />
        <Autocomplete
          label="Zone"
          description="of the time that is typed"
          value={zone}
          data={[...new Set([browserZone(), ...ZONES])]}
          limit={20}
          onChange={setZone}
          error={isZone(zone) ? undefined : "not a zone"}
          style={{ flex: "1 1 170px" }}
        />
      </Group>
      {read?.kind === "second" && read.other !== undefined ? (
        <Group gap="xs">
          <Text size="sm">The clocks showed this time twice:</Text>
          {[read.seconds, read.other].map((second) => (
            <Button key={second} size="compact-sm" variant="default" onClick={() => choose(second)}>
              {utc(second)}
            </Button>
          ))}
        </Group>
      ) : null}
      {chosen ? (
        <Text size="xs" className="hf-dim hf-num">
          {utc(chosen.second)}
          {chosen.i === undefined ? ", every entry of this second" : `, up to entry ${chosen.i} of this second`}
        </Text>
      ) : null}
      {found?.ok ? <Mark tone="ring">Can be restored</Mark> : null}
      {found && !found.ok ? (
        <Stack gap={6}>
          <Mark tone={found.ahead ? "amber" : "red"}>This second cannot be restored: {found.reason}</Mark>
          <Group gap="xs">
            {found.before !== null ? (
              <Button size="compact-sm" variant="default" onClick={() => choose(found.before!)}>
                Nearest before: {shown(found.before, own.zone, now)}
              </Button>
            ) : null}
            {found.after !== null ? (
              <Button size="compact-sm" variant="default" onClick={() => choose(found.after!)}>
                Nearest after: {shown(found.after, own.zone, now)}
              </Button>
            ) : null}
          </Group>
        </Stack>
      ) : null}
      {first !== undefined && last !== undefined ? (
        <Group gap="xs">
          <Button size="compact-sm" variant="default" onClick={() => choose(first)}>
            Earliest: {shown(first, own.zone, now)}
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => choose(last)}>
            Latest: {shown(last, own.zone, now)}
          </Button>
        </Group>
      ) : null}
    </Stack>
  );
}
