// Which time the charts of a page show: its length, steps back and forth, back to now.
import { Button, Group, SegmentedControl } from "@mantine/core";
import { Time } from "../components/Time";
import { beside, SPANS, type Span } from "./spans";

interface Props {
  value: Span;
  onChange: (span: Span) => void;
}

export function SpanPicker({ value, onChange }: Props) {
  const { span, to } = value;
  const step = (by: -1 | 1) => onChange(beside(value, by, Date.now() / 1000));
  return (
    <Group gap="sm" wrap="wrap">
      <div style={{ maxWidth: "100%", overflowX: "auto" }}>
        <SegmentedControl
          aria-label="Time that is shown"
          data={SPANS.map((s) => ({ label: s.label, value: String(s.value) }))}
          value={String(span)}
          onChange={(next) => onChange({ span: Number(next), ...(to === undefined ? {} : { to }) })}
        />
      </div>
      <Button.Group>
        <Button variant="default" onClick={() => step(-1)} aria-label="The time before">
          ←
        </Button>
        <Button variant="default" onClick={() => step(1)} aria-label="The time after" disabled={to === undefined}>
          →
        </Button>
        <Button variant="default" onClick={() => onChange({ span })} disabled={to === undefined}>
          Now
        </Button>
      </Button.Group>
      {to === undefined ? null : (
        <span className="hf-dim">
          up to <Time at={to} />
        </span>
      )}
    </Group>
  );
}
