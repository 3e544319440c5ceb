// What the appliance's own programs said, live; and the bundle for whoever looks for a fault.
import { Button, Checkbox, Group, NativeSelect, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { logPage, type LogLine } from "../api/operations";
import type { LogSearch } from "../app/router";
import { Mark, type Tone } from "../components/Mark";
import { Page } from "../components/Page";
import { Empty, ProblemAlert, Waiting } from "../components/Problem";
import { Time } from "../components/Time";

const PROGRAMS = ["web", "ingest", "web and ingest", "daemon"];
const LEVELS = ["error", "warn", "info"] as const;
const WORDS: Record<string, { word: string; tone: Tone }> = {
  error: { word: "Error", tone: "red" },
  warn: { word: "Warning", tone: "amber" },
  info: { word: "Info", tone: "off" },
};
/** How often new lines are asked for. */
const LIVE_MS = 2_000;
/** Pages that are kept live; older ones are read once. */
const LIVE_PAGES_MAX = 3;

export function LogsPage() {
  const search = useSearch({ from: "/app/admin/logs" });
  const navigate = useNavigate();
  const [live, setLive] = useState(true);
  const [typed, setTyped] = useState(search.text ?? "");
  const [text] = useDebouncedValue(typed, 300);
  const go = (next: LogSearch) => void navigate({ to: "/admin/logs", search: next, replace: true, resetScroll: false });
  useEffect(() => {
    if (text !== (search.text ?? "")) go({ ...search, text: text || undefined });
    // eslint-disable-next-line react-hooks/exhaustive-deps -- only what was typed changes the address
  }, [text]);
  const pages = useInfiniteQuery({
    queryKey: ["logs", search.program, search.level, search.text],
    queryFn: ({ pageParam }) => logPage(search, pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    refetchInterval: (query) => (live && (query.state.data?.pages.length ?? 0) <= LIVE_PAGES_MAX ? LIVE_MS : false),
  });
  const lines = useMemo(() => pages.data?.pages.flatMap((page) => page.lines) ?? [], [pages.data]);
  return (
    <Page
      title="Log"
      lead="What the appliance's own programs said, newest first. About the last hundred thousand lines are kept"
      actions={
        <Button component="a" variant="default" href="/api/v1/diagnostics" download>
          Diagnostics bundle
        </Button>
      }
    >
      <Text size="sm" className="hf-dim">
        The bundle is a tar.gz with states, settings without their secrets, and this log: what someone who looks for a
        fault wants to read. No secret is in it; names of people, hosts and collections are.
      </Text>
      <Group align="flex-end">
        <NativeSelect
          label="Program"
          value={search.program ?? ""}
          onChange={(e) => go({ ...search, program: e.currentTarget.value || undefined })}
          data={[{ value: "", label: "All" }, ...PROGRAMS]}
        />
        <NativeSelect
          label="Level"
          value={search.level ?? "info"}
          onChange={(e) => {
            const level = LEVELS.find((l) => l === e.currentTarget.value);
            go({ ...search, level: level === "info" ? undefined : level });
          }}
          data={[
            { value: "info", label: "All" },
            { value: "warn", label: "Warnings and errors" },
            { value: "error", label: "Errors" },
          ]}
        />
        <TextInput
          label="Text"
          maxLength={200}
          value={typed}
          onChange={(e) => setTyped(e.currentTarget.value)}
          style={{ flex: "1 1 200px" }}
        />
        <Checkbox label="Live" checked={live} onChange={(e) => setLive(e.currentTarget.checked)} mb={8} />
      </Group>
      <ProblemAlert error={pages.error} />
      {pages.isPending ? (
        <Waiting what="Reading the log" />
      ) : lines.length ? (
        <>
          <ol className="hf-log" aria-label="Log lines" tabIndex={0}>
            {lines.map((line) => (
              <Line key={line.id} line={line} />
            ))}
          </ol>
          {pages.hasNextPage ? (
            <Group>
              <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
                Older lines
              </Button>
            </Group>
          ) : null}
        </>
      ) : pages.error ? null : (
        <Empty
          title={search.program || search.level || search.text ? "No line fits this choice" : "Nothing was said yet"}
        >
          Lines appear here about a second after they were written. The programs write them to their standard error too,
          with more detail where it was asked for.
        </Empty>
      )}
    </Page>
  );
}

function Line({ line }: { line: LogLine }) {
  const { word, tone } = WORDS[line.level] ?? WORDS["info"]!;
  return (
    <li>
      <span className="hf-num">
        <Time at={line.at} />
      </span>
      <Mark tone={tone}>{word}</Mark>
      <span className="hf-dim" title={line.instance}>
        {line.program}
      </span>
      <span className="hf-mono">
        {line.message} <span className="hf-dim">{line.fields}</span>
      </span>
    </li>
  );
}
