// One host: charts, what seldom changes, its last answers.
import { List, Tabs, Text } from "@mantine/core";
import { useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { hostQuery, type Host } from "../api/monitoring";
import { Mark } from "../components/Mark";
import { Page } from "../components/Page";
import { Time } from "../components/Time";
import { HostCharts, SECTIONS, type Section } from "../monitoring/HostCharts";
import { SpanPicker } from "../monitoring/SpanPicker";
import { SPAN_DEFAULT, type Span } from "../monitoring/spans";
import { sentence } from "../lib/format";
import { duration } from "../lib/time";
import { Fact } from "./Deployment";
import { HostAnswers, HostFactsPanel } from "./HostFacts";
import { roleOf, toneOf } from "./Hosts";

export const HOST_TABS = [...SECTIONS, "facts", "pings"] as const;
export type HostTab = (typeof HOST_TABS)[number];
const WORDS: Partial<Record<HostTab, string>> = { facts: "Settings and warnings", pings: "Last answers" };

export function HostPage() {
  const { group, host: id } = useParams({ from: "/app/g/$group/hosts/$host" });
  const { tab = "operations", span = SPAN_DEFAULT, to, part } = useSearch({ from: "/app/g/$group/hosts/$host" });
  const navigate = useNavigate({ from: "/g/$group/hosts/$host" });
  const host = useSuspenseQuery(hostQuery(group, id)).data;
  const window: Span = to === undefined ? { span } : { span, to };
  const section = SECTIONS.find((s): s is Section => s === tab);
  const goTo = (next: Span) => void navigate({ search: (old) => ({ ...old, span: next.span, to: next.to }) });
  return (
    <Page title={host.host} lead={roleOf(host)}>
      <State host={host} />
      <Tabs
        value={tab}
        keepMounted={false}
        onChange={(value) => void navigate({ search: (old) => ({ ...old, tab: HOST_TABS.find((t) => t === value) }) })}
      >
        <Tabs.List>
          {HOST_TABS.map((t) => (
            <Tabs.Tab key={t} value={t}>
              {WORDS[t] ?? sentence(t)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={tab} pt="md">
          {section ? (
            <>
              <SpanPicker value={window} onChange={goTo} />
              <div style={{ height: 16 }} />
              <HostCharts
                group={group}
                host={host}
                section={section}
                part={part}
                span={window}
                onSpan={goTo}
                onPart={(value) => void navigate({ search: (old) => ({ ...old, part: value }) })}
              />
            </>
          ) : tab === "facts" ? (
            <HostFactsPanel group={group} host={host} />
          ) : (
            <HostAnswers group={group} host={host} />
          )}
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function State({ host }: { host: Host }) {
  return (
    <section className="hf-panel">
      <dl className="hf-facts">
        <Fact name="State">
          <Mark tone={toneOf(host)}>{host.state}</Mark>
        </Fact>
        <Fact name="Behind the primary">
          {host.lagSeconds === null || host.lagSeconds === undefined ? "—" : duration(host.lagSeconds)}
        </Fact>
        <Fact name="Copies from">{host.syncsFrom ?? "—"}</Fact>
        <Fact name="MongoDB">{host.version ?? "not known"}</Fact>
        <Fact name="Runs since">
          <Time at={host.started} none="not known" />
        </Fact>
        <Fact name="Seen">
          <Time at={host.seen} ago />
        </Fact>
      </dl>
      {host.error ? (
        <Text size="sm" mt="sm">
          <Mark tone={host.up ? "amber" : "red"}>{host.error}</Mark>
        </Text>
      ) : null}
      {host.notices.length ? (
        <List size="sm" mt="sm" aria-label="To look at">
          {host.notices.map((notice) => (
            <List.Item key={notice}>{notice}</List.Item>
          ))}
        </List>
      ) : null}
    </section>
  );
}
