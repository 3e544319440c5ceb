// A state as glyph, colour and word together: never colour alone. Green is for what was proved, a hollow ring for what was not.
import type { ReactNode } from "react";

export type Tone = "red" | "amber" | "green" | "ring" | "grey" | "off";

function Glyph({ tone }: { tone: Tone }) {
  const common = { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": true } as const;
  switch (tone) {
    case "red":
      return (
        <svg {...common}>
          <path d="M7 .8 13.6 12.8H.4Z" fill="currentColor" />
          <path d="M7 5v4M7 10.4v1.2" stroke="var(--hf-surface)" strokeWidth="1.5" />
        </svg>
      );
    case "amber":
      return (
        <svg {...common}>
          <circle cx="7" cy="7" r="5.6" fill="none" stroke="currentColor" strokeWidth="1.6" />
          <path d="M7 3.8V7l2.4 1.6" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />
        </svg>
      );
    case "green":
      return (
        <svg {...common}>
          <circle cx="7" cy="7" r="6.4" fill="currentColor" />
          <path d="m4 7.2 2.1 2.1L10 5" fill="none" stroke="var(--hf-surface)" strokeWidth="1.7" />
        </svg>
      );
    case "ring":
      return (
        <svg {...common}>
          <circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" strokeWidth="1.8" />
        </svg>
      );
    case "grey":
      return (
        <svg {...common}>
          <circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" strokeWidth="1.8" strokeDasharray="3 2.2" />
        </svg>
      );
    case "off":
      return (
        <svg {...common}>
          <circle cx="7" cy="7" r="5.4" fill="none" stroke="currentColor" strokeWidth="1.4" />
          <path d="M4 7h6" stroke="currentColor" strokeWidth="1.6" />
        </svg>
      );
  }
}

export function Mark({ tone, children }: { tone: Tone; children: ReactNode }) {
  const colour = tone === "ring" || tone === "off" ? "grey" : tone;
  return (
    <span className={`hf-mark hf-tone-${colour}`}>
      <Glyph tone={tone} />
      <span>{children}</span>
    </span>
  );
}
