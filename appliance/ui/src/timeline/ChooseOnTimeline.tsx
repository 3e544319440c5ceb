// The timeline inside of another page: a second is chosen on it, and its view is nobody else's.
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { snapshotsQuery, timelineQuery, type Backup } from "../api/queries";
import { useNow } from "../app/now";
import { useEntryStep } from "./entryStep";
import type { Chosen } from "./instant";
import { lastSecond } from "./restorable";
import { asked, clampSpan, showing, type View } from "./scale";
import { Timeline } from "./Timeline";

/** What is shown at first, in seconds. */
const SPAN = 3600;
const AHEAD = 0.04;
const DAY = 86_400;

interface Props {
  group: string;
  rs: string;
  backup: Backup;
  chosen: Chosen | null;
  onChoose: (chosen: Chosen) => void;
}

export function ChooseOnTimeline({ group, rs, backup, chosen, onChoose }: Props) {
  const now = useNow();
  const [span, setSpan] = useState(SPAN);
  const [from, setFrom] = useState<number | null>(chosen ? chosen.second - SPAN / 2 : null);
  const start = from ?? now - span * (1 - AHEAD);
  const view = useMemo<View>(() => ({ from: start, to: start + span }), [start, span]);
  const range = asked(view);
  const timeline = useQuery(timelineQuery(group, rs, range.from, range.to));
  const snapshots = useQuery(snapshotsQuery(group, rs)).data ?? [];
  const choose = (next: Chosen) => {
    setFrom(showing(view, next.second).from);
    onChoose(next);
  };
  const step = useEntryStep(group, rs, choose);
  const last = backup.ranges.at(-1);
  return (
    <Timeline
      view={view}
      onView={(next, follows) => {
        setSpan(clampSpan(next.to - next.from));
        setFrom(follows ? null : next.from);
      }}
      follow={from === null}
      now={now}
      ranges={backup.ranges}
      data={timeline.data}
      snapshots={snapshots}
      chosen={chosen?.second ?? null}
      onChoose={(second) => choose({ second })}
      onEntry={(direction) => void step(chosen ?? (last ? { second: lastSecond(last) } : null), direction)}
      windowFrom={now - backup.settings.retention.oplogWindowDays * DAY}
    />
  );
}
