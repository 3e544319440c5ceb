// The picture of a deployment: members, the one that is read, the agent, the head. Text in it is text, so that it can be read aloud.
import { Text } from "@mantine/core";
import type { components } from "../api/schema";
import { duration } from "../lib/time";
import { Time } from "./Time";

type Member = components["schemas"]["MemberStateView"];

interface Props {
  hosts: string[];
  /** Their states, when an agent looked. */
  members: Member[];
  /** When it looked. */
  seen: string | null;
  reads: string | null;
  agent: string | null;
  daemon: string | null;
  lag: number | null;
}

const BOX = { w: 150, h: 44 };

/** "secondary, hidden, 1 h delayed". */
export function memberNote(member: Member | undefined): string {
  if (!member) return "member";
  const notes = [member.state.toLowerCase()];
  if (member.hidden) notes.push("hidden");
  if (member.delaySeconds > 0) notes.push(`${duration(member.delaySeconds)} delayed`);
  return notes.join(", ");
}

export function Topology({ hosts, members, seen, reads, agent, daemon, lag }: Props) {
  const noteOf = (host: string) => memberNote(members.find((m) => m.host === host));
  const rows = Math.max(hosts.length, 1);
  const height = Math.max(rows * (BOX.h + 14) + 26, 150);
  const top = (n: number) => 24 + n * (BOX.h + 14);
  const middle = 24 + (rows * (BOX.h + 14) - 14) / 2;
  const label = [
    `${rows} members: ${hosts.map((host) => `${host} (${noteOf(host)})`).join(", ")}`,
    reads ? `the agent reads from ${reads}` : "no member is read now",
    agent ? `agent on ${agent}` : "no agent",
    daemon ? `head on daemon ${daemon}` : "no head yet",
  ].join("; ");
  return (
    <>
      <div style={{ overflowX: "auto" }} tabIndex={0} role="region" aria-label="Picture of the topology">
        <svg
          viewBox={`0 0 560 ${height}`}
          style={{ minWidth: 430, width: "100%", display: "block" }}
          role="img"
          aria-label={label}
        >
          <Column x={4} title="Members" />
          <Column x={205} title="Agent" />
          <Column x={406} title="Head" />
          {hosts.map((host, n) => {
            const read = host === reads;
            return (
              <g key={host}>
                <path
                  d={`M154 ${top(n) + BOX.h / 2}C180 ${top(n) + BOX.h / 2} 178 ${middle} 205 ${middle}`}
                  fill="none"
                  stroke={read ? "var(--hf-band)" : "var(--hf-line)"}
                  strokeWidth={read ? 2.5 : 1.2}
                  strokeDasharray={read ? undefined : "3 4"}
                />
                <Box x={4} y={top(n)} title={host} note={noteOf(host) + (read ? ", is read" : "")} strong={read} />
              </g>
            );
          })}
          <path d={`M355 ${middle}H406`} stroke={daemon ? "var(--hf-band)" : "var(--hf-line)"} strokeWidth="2.5" />
          <Box
            x={205}
            y={middle - BOX.h / 2}
            title={agent ?? "none"}
            note={agent ? "sends the oplog" : "start one"}
            strong={!!agent}
          />
          <Box
            x={406}
            y={middle - BOX.h / 2}
            title={daemon ? `daemon ${daemon}` : "none yet"}
            note={lag === null ? "copy of the data" : `${duration(lag)} behind`}
            strong={!!daemon}
          />
        </svg>
      </div>
      {seen ? (
        <Text size="xs" className="hf-dim" mt="xs">
          States of the members as the agent saw them <Time at={seen} ago />.
        </Text>
      ) : null}
      {hosts.length === 1 ? (
        <Text size="xs" className="hf-dim" mt="xs">
          One member only: while it is down nothing can be read, and a lost disk loses what was not sent yet.
        </Text>
      ) : null}
    </>
  );
}

function Column({ x, title }: { x: number; title: string }) {
  return (
    <text x={x} y="12" fontSize="11" fill="var(--hf-dim)">
      {title}
    </text>
  );
}

function Box({ x, y, title, note, strong }: { x: number; y: number; title: string; note: string; strong: boolean }) {
  const short = title.length > 21 ? `${title.slice(0, 20)}…` : title;
  const shortNote = note.length > 26 ? `${note.slice(0, 25)}…` : note;
  return (
    <g>
      <title>{`${title}: ${note}`}</title>
      <rect
        x={x}
        y={y}
        width={BOX.w}
        height={BOX.h}
        rx="5"
        fill="var(--hf-surface)"
        stroke={strong ? "var(--hf-band)" : "var(--hf-line)"}
        strokeWidth={strong ? 2 : 1.2}
      />
      <text x={x + 10} y={y + 18} fontSize="12.5" fontWeight="500" fill="var(--hf-ink)">
        {short}
      </text>
      <text x={x + 10} y={y + 34} fontSize="11" fill="var(--hf-dim)">
        {shortNote}
      </text>
    </g>
  );
}
