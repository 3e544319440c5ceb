// The frame of pages before the sign-in: one narrow column.
import { Stack, Text, Title } from "@mantine/core";
import { useEffect, type ReactNode } from "react";

interface Props {
  title: string;
  lead?: ReactNode;
  children: ReactNode;
  /** Room for forms of several columns. */
  wide?: boolean;
}

export function Outside({ title, lead, children, wide }: Props) {
  useEffect(() => {
    document.title = `${title} · Holdfast`;
  }, [title]);
  return (
    <main
      style={{ minHeight: "100vh", display: "grid", placeItems: "center", padding: 20, background: "var(--hf-soft)" }}
    >
      <div style={{ width: "100%", maxWidth: wide ? 860 : 420 }}>
        <div style={{ display: "flex", alignItems: "center", gap: 10, marginBottom: 16 }}>
          <img src="/favicon.svg" width={34} height={34} alt="" />
          <Text fw={700} size="xl">
            Holdfast
          </Text>
        </div>
        <div className="hf-panel" style={{ background: "var(--hf-surface)", padding: 24 }}>
          <Title order={1} mb={4}>
            {title}
          </Title>
          {lead ? (
            <Text size="sm" className="hf-dim" mb="md" component="div">
              {lead}
            </Text>
          ) : null}
          <Stack gap="md">{children}</Stack>
        </div>
      </div>
    </main>
  );
}
