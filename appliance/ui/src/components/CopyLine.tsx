// A line to be copied: shown whole, selectable, with a button that says that it did.
import { useClipboard } from "@mantine/hooks";

export function CopyLine({ text, label }: { text: string; label: string }) {
  const clipboard = useClipboard({ timeout: 2000 });
  return (
    <div className="hf-copy">
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
      <button type="button" onClick={() => clipboard.copy(text)} aria-label={`Copy: ${label}`}>
        {clipboard.copied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}

/** An id that can be copied without selecting it. */
export function CopyId({ id, short = 8 }: { id: string; short?: number }) {
  const clipboard = useClipboard({ timeout: 1500 });
  return (
    <button
      type="button"
      className="hf-mono"
      style={{ all: "unset", cursor: "copy", fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12 }}
      title={`Copy ${id}`}
      onClick={() => clipboard.copy(id)}
    >
      {clipboard.copied ? "copied" : id.length > short + 2 ? `${id.slice(0, short)}…` : id}
    </button>
  );
}
