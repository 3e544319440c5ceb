// Errors: what, why, what next, code. And what stands where a page waits or has nothing.
import { Alert, Button, Group, Loader, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Problem } from "../api/client";

interface ProblemProps {
  error: unknown;
  retry?: () => void;
  /** Reads anew what was changed meanwhile. */
  reread?: () => void;
}

export function ProblemAlert({ error, retry, reread }: ProblemProps) {
  if (!error) return null;
  const problem = error instanceof Problem ? error : null;
  const title = problem?.body.title ?? "This page failed";
  const detail = problem?.body.detail ?? (error instanceof Error ? error.message : String(error));
  return (
    <Alert color="red" variant="outline" title={title} role="alert">
      <Stack gap={6}>
        <Text size="sm">{sentence(detail)}</Text>
        <Group gap="md">
          {retry ? (
            <Button size="compact-sm" variant="default" onClick={retry}>
              Try again
            </Button>
          ) : null}
          {reread && problem?.code === "changedMeanwhile" ? (
            <Button size="compact-sm" variant="default" onClick={reread}>
              Show what is there now
            </Button>
          ) : null}
          {problem ? (
            <Text size="xs" className="hf-dim hf-mono">
              {problem.code}
              {problem.body.requestId ? ` · request ${problem.body.requestId}` : ""}
            </Text>
          ) : null}
        </Group>
      </Stack>
    </Alert>
  );
}

const sentence = (text: string) => (text ? text[0]!.toUpperCase() + text.slice(1) : text);

export function Waiting({ what }: { what: string }) {
  return (
    <Group gap="sm" py="xl" role="status">
      <Loader size="sm" color="gray" />
      <Text size="sm" className="hf-dim">
        {what}
      </Text>
    </Group>
  );
}

/** An empty state that teaches: what will be here, and how to get it there. */
export function Empty({ title, children, action }: { title: string; children: ReactNode; action?: ReactNode }) {
  return (
    <section className="hf-panel">
      <Title order={2}>{title}</Title>
      <Text size="sm" mt={6} component="div" maw="70ch">
        {children}
      </Text>
      {action ? <Group mt="md">{action}</Group> : null}
    </section>
  );
}
