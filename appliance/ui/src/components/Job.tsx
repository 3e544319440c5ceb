// One component for every long piece of work: phases, rate, a range for the time left, the last error.
import { Group, Stack, Text } from "@mantine/core";
import { useEffect, useState, type ReactNode } from "react";
import { amount } from "../lib/format";
import { addSample, estimate, type Sample } from "../lib/rate";
import { duration } from "../lib/time";
import { Mark, type Tone } from "./Mark";

export interface Progress {
  done: number;
  total: number;
  unit: string;
}

export interface Phase {
  label: string;
  state: "done" | "running" | "waiting" | "failed";
  detail?: ReactNode;
  progress?: Progress | null;
}

const TONES: Record<Phase["state"], Tone> = { done: "ring", running: "grey", waiting: "off", failed: "red" };
const WORDS: Record<Phase["state"], string> = { done: "done", running: "running", waiting: "waits", failed: "failed" };

export function ProgressLine({ progress, label }: { progress: Progress; label: string }) {
  const [samples, setSamples] = useState<Sample[]>([]);
  const { done, total, unit } = progress;
  useEffect(() => {
    setSamples((old) => addSample(old, { at: performance.now() / 1000, done }));
  }, [done]);
  const known = total > 0;
  const share = known ? Math.min(100, (done / total) * 100) : 0;
  const guess = estimate(samples, total);
  return (
    <div>
      {known ? (
        <div
          className="hf-bar"
          role="progressbar"
          aria-label={label}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(share)}
        >
          <div style={{ width: `${share}%` }} />
        </div>
      ) : null}
      <Group gap="md" mt={4}>
        <Text size="xs" className="hf-num">
          {known ? `${amount(done, unit)} of ${amount(total, unit)} (${Math.floor(share)} %)` : amount(done, unit)}
        </Text>
        {guess ? (
          <Text size="xs" className="hf-num hf-dim">
            {amount(guess.perSecond, unit)}/s
            {guess.left ? ` · ${duration(guess.left[0])} to ${duration(guess.left[1])} left` : ""}
          </Text>
        ) : null}
      </Group>
    </div>
  );
}

export function Job({ phases, error }: { phases: Phase[]; error?: string | null }) {
  return (
    <Stack gap="xs">
      <ol className="hf-steps">
        {phases.map((phase) => (
          <li key={phase.label} aria-current={phase.state === "running" ? "step" : undefined}>
            <span style={{ paddingTop: 3 }}>
              <Mark tone={TONES[phase.state]}>
                <span className="hf-hidden">{WORDS[phase.state]}</span>
              </Mark>
            </span>
            <div>
              <Text
                size="sm"
                fw={phase.state === "running" ? 600 : 400}
                c={phase.state === "waiting" ? "dimmed" : undefined}
              >
                {phase.label}
              </Text>
              {phase.detail ? (
                <Text size="xs" className="hf-dim" component="div">
                  {phase.detail}
                </Text>
              ) : null}
              {phase.progress && phase.state === "running" ? (
                <ProgressLine progress={phase.progress} label={phase.label} />
              ) : null}
            </div>
          </li>
        ))}
      </ol>
      {error ? (
        <Text size="sm">
          <Mark tone="red">Last error</Mark> {error}
        </Text>
      ) : null}
    </Stack>
  );
}
