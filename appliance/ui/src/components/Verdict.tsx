// The server's verdict in the same words everywhere.
import { Group, Text } from "@mantine/core";
import type { ReactNode } from "react";
import type { components } from "../api/schema";
import { Mark, type Tone } from "./Mark";
import { Time } from "./Time";

export type Verdict = components["schemas"]["VerdictView"];

const WORDS: Record<string, { tone: Tone; word: string }> = {
  unprotected: { tone: "red", word: "Not protected" },
  late: { tone: "amber", word: "Late" },
  off: { tone: "off", word: "Not backed up" },
  running: { tone: "grey", word: "First copy runs" },
  protected: { tone: "ring", word: "Protected" },
  proved: { tone: "green", word: "Protected and proved" },
};

const wordOf = (level: string) => WORDS[level] ?? { tone: "grey" as Tone, word: level };

/** The colour of a level. */
export const toneOf = (level: string): Tone => wordOf(level).tone;

export function VerdictMark({ verdict }: { verdict: Verdict }) {
  const { tone, word } = wordOf(verdict.level);
  return <Mark tone={tone}>{word}</Mark>;
}

export function VerdictBanner({ verdict, children }: { verdict: Verdict; children?: ReactNode }) {
  const { tone } = wordOf(verdict.level);
  return (
    <section className="hf-banner" data-tone={tone} aria-label="Verdict">
      <Group justify="space-between" align="flex-start" gap="md">
        <div>
          <Text fw={600} size="lg">
            <VerdictMark verdict={verdict} />
          </Text>
          <Text size="sm" mt={4}>
            {verdict.sentence}
            {verdict.since ? (
              <>
                {" "}
                · since <Time at={verdict.since} />
              </>
            ) : null}
          </Text>
          {verdict.action ? (
            <Text size="sm" mt={4} fw={500}>
              Next: {verdict.action}.
            </Text>
          ) : null}
        </div>
        {children}
      </Group>
    </section>
  );
}
