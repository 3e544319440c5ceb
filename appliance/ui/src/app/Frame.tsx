// The frame around every page: where one is, which group, light or dark, who. Reachable by keyboard, usable on a phone.
import {
  ActionIcon,
  AppShell,
  Burger,
  Group,
  Menu,
  NativeSelect,
  Text,
  Tooltip,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate, useParams, useRouterState } from "@tanstack/react-router";
import { Suspense, useEffect, type ReactNode } from "react";
import { signOut } from "../api/access";
import { Waiting } from "../components/Problem";
import { useEvents, useIsLive } from "./live";
import { Prove } from "./Prove";
import { useEnrolment, useMay, useSession, useSignedOut } from "./session";
import { useZone } from "./zone";

const LAST_GROUP = "holdfast-group";

/** The group of the path, or the one looked at last. */
export function useGroup(): string | undefined {
  const { group } = useParams({ strict: false });
  const session = useSession();
  if (group) return group;
  const last = localStorage.getItem(LAST_GROUP);
  return session.groups.find((g) => g.name === last)?.name ?? session.groups[0]?.name;
}

function Logo() {
  return (
    <Group gap={8} wrap="nowrap">
      <img src="/favicon.svg" width={26} height={26} alt="" />
      <Text fw={700} size="md" visibleFrom="xs">
        Holdfast
      </Text>
    </Group>
  );
}

function GroupSwitcher({ group }: { group: string | undefined }) {
  const session = useSession();
  const navigate = useNavigate();
  if (session.groups.length === 0) return null;
  return (
    <NativeSelect
      aria-label="Group"
      size="sm"
      value={group ?? ""}
      data={session.groups.map((g) => g.name)}
      onChange={(event) => void navigate({ to: "/g/$group", params: { group: event.currentTarget.value } })}
      styles={{ input: { fontWeight: 500, maxWidth: 190 } }}
    />
  );
}

function Scheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const next = colorScheme === "light" ? "dark" : colorScheme === "dark" ? "auto" : "light";
  const words = { light: "light", dark: "dark", auto: "as the system" };
  return (
    <Tooltip label={`Colours: ${words[colorScheme]}. Changes to: ${words[next]}`}>
      <ActionIcon
        variant="default"
        size={34}
        aria-label={`Colours: ${words[colorScheme]}`}
        onClick={() => setColorScheme(next)}
      >
        <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
          <circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" strokeWidth="1.5" />
          <path
            d={
              colorScheme === "auto"
                ? "M8 1.8a6.2 6.2 0 0 1 0 12.4Z"
                : colorScheme === "dark"
                  ? "M8 1.8a6.2 6.2 0 1 1 0 12.4 6.2 6.2 0 1 1 0-12.4Z"
                  : ""
            }
            fill="currentColor"
          />
        </svg>
      </ActionIcon>
    </Tooltip>
  );
}

function Person() {
  const session = useSession();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { zone, isUtc, setUtc } = useZone();
  const leave = async () => {
    await signOut().catch(() => undefined);
    queries.clear();
    await navigate({ to: "/signin", search: {} });
  };
  const initials = session.user.name
    .split(/\s+/)
    .map((word) => word[0] ?? "")
    .slice(0, 2)
    .join("")
    .toUpperCase();
  return (
    <Menu position="bottom-end" width={230}>
      <Menu.Target>
        <ActionIcon variant="default" size={34} aria-label={`${initials || "?"}: account of ${session.user.name}`}>
          <Text size="xs" fw={600}>
            {initials || "?"}
          </Text>
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{session.user.email}</Menu.Label>
        <Menu.Item component={Link} to="/account">
          Account
        </Menu.Item>
        <Menu.Item onClick={() => setUtc(!isUtc)}>
          {isUtc ? "Show times in my zone" : `Show times in UTC (now ${zone})`}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item onClick={() => void leave()}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function Section({ title, children }: { title?: string; children: ReactNode }) {
  return (
    <>
      {title ? <h2>{title}</h2> : null}
      {children}
    </>
  );
}

function Nav({ group, onGo }: { group: string | undefined; onGo: () => void }) {
  const may = useMay(group);
  const params = { group: group ?? "" };
  const rest = { onClick: onGo, activeProps: { "aria-current": "page" as const } };
  return (
    <nav className="hf-nav" aria-label="Pages">
      {group ? (
        <Section>
          <Link to="/g/$group" params={params} activeOptions={{ exact: true }} {...rest}>
            Overview
          </Link>
          <Link to="/g/$group/deployments" params={params} {...rest}>
            Deployments
          </Link>
          <Link to="/g/$group/hosts" params={params} {...rest}>
            Hosts
          </Link>
          <Link to="/g/$group/backups" params={params} {...rest}>
            Backups
          </Link>
          <Link to="/g/$group/restores" params={params} {...rest}>
            Restores
          </Link>
        </Section>
      ) : null}
      {group ? (
        <Section title={`Group ${group}`}>
          <Link to="/g/$group/agents" params={params} {...rest}>
            Agents
          </Link>
          <Link to="/g/$group/people" params={params} {...rest}>
            People
          </Link>
          <Link to="/g/$group/sftp" params={params} {...rest}>
            SFTP targets
          </Link>
          {may.people ? (
            <Link to="/g/$group/keys" params={params} {...rest}>
              API keys
            </Link>
          ) : null}
          {may.audit ? (
            <Link to="/g/$group/audit" params={params} {...rest}>
              Audit
            </Link>
          ) : null}
        </Section>
      ) : null}
      {may.over("daemons:read") ? (
        <Section title="Appliance">
          <Link to="/admin/daemons" {...rest}>
            Daemons
          </Link>
          <Link to="/admin/blockstore" search={{}} {...rest}>
            Blockstore
          </Link>
          <Link to="/admin/offsite" {...rest}>
            Offsite copies
          </Link>
          <Link to="/admin/jobs" search={{}} {...rest}>
            Jobs
          </Link>
          {may.over("logs:read") ? (
            <Link to="/admin/logs" search={{}} {...rest}>
              Log
            </Link>
          ) : null}
          {may.over("users:read") ? (
            <Link to="/admin/users" {...rest}>
              Users
            </Link>
          ) : null}
          <Link to="/admin/groups" {...rest}>
            Groups
          </Link>
          {may.over("apiKeys:read") ? (
            <Link to="/admin/keys" {...rest}>
              API keys
            </Link>
          ) : null}
          {may.over("settings:read") ? (
            <Link to="/admin/settings" {...rest}>
              Settings
            </Link>
          ) : null}
          {may.over("audit:read") ? (
            <Link to="/admin/audit" {...rest}>
              Audit
            </Link>
          ) : null}
        </Section>
      ) : null}
      <Section title="You">
        <Link to="/account" {...rest}>
          Account
        </Link>
        <Link to="/help" {...rest}>
          Help
        </Link>
      </Section>
    </nav>
  );
}

function Live() {
  const live = useIsLive();
  const text = live ? "Live: changes appear by themselves" : "Asks every few seconds: the stream of events is not open";
  return (
    <Tooltip label={text}>
      <Text size="xs" className="hf-dim" visibleFrom="sm" role="status">
        {live ? "● live" : "○ polling"}
      </Text>
    </Tooltip>
  );
}

export function Frame() {
  const [opened, { toggle, close }] = useDisclosure();
  const group = useGroup();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const navigate = useNavigate();
  useSignedOut();
  useEnrolment();
  const overAll = useMay(undefined).over("events:read");
  useEvents(path.startsWith("/admin/") && overAll ? null : group);
  useEffect(() => {
    if (group) localStorage.setItem(LAST_GROUP, group);
  }, [group]);
  useEffect(() => {
    close();
    document.getElementById("main")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [path, close]);
  useHotkeys(
    group
      ? [
          ["g>o", () => void navigate({ to: "/g/$group", params: { group } })],
          ["?", () => void navigate({ to: "/help" })],
        ]
      : [],
  );
  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 208, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={{ base: "md", md: "xl" }}
    >
      <a className="hf-skip" href="#main">
        Skip to the page
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger
              opened={opened}
              onClick={toggle}
              hiddenFrom="sm"
              size="sm"
              aria-label={opened ? "Close the menu" : "Open the menu"}
            />
            <Logo />
            <GroupSwitcher group={group} />
          </Group>
          <Group gap="xs" wrap="nowrap">
            <Live />
            <Scheme />
            <Person />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" style={{ overflowY: "auto" }}>
        <Nav group={group} onGo={close} />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1} style={{ outline: "none" }}>
        <div style={{ maxWidth: 1240, margin: "0 auto" }}>
          <Suspense fallback={<Waiting what="Loading" />}>
            <Outlet />
          </Suspense>
        </div>
      </AppShell.Main>
      <Prove />
    </AppShell>
  );
}
