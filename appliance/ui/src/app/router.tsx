// Routes. They hold the state of a page: a link to a chosen second works for whoever may see it.
//
// Everything but the first page is loaded when it is asked for.
import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent as lazy,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { Problem } from "../api/client";
import { sessionQuery, setupQuery } from "../api/queries";
import { Empty, ProblemAlert } from "../components/Problem";
import { Failed, NoPage } from "./Failed";
import { Frame } from "./Frame";

const root = createRootRouteWithContext<{ queries: QueryClient }>()({
  component: Outlet,
  errorComponent: ({ error, reset }) => (
    <main style={{ padding: 24 }}>
      <ProblemAlert error={error} retry={reset} />
    </main>
  ),
  notFoundComponent: () => (
    <Empty title="There is no such page">The address is wrong, or what it names was removed. Go to the overview.</Empty>
  ),
});

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);
const number = (value: unknown): number | undefined => {
  const n = typeof value === "number" ? value : Number(value);
  return value !== undefined && value !== "" && Number.isFinite(n) ? n : undefined;
};

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/signin",
  validateSearch: (search: Record<string, unknown>): { next?: string; ended?: boolean } => ({
    // Only a path of this app: never another site.
    next: /^\/(?![/\\])/.test(text(search["next"]) ?? "") ? text(search["next"]) : undefined,
    ended: search["ended"] === true ? true : undefined,
  }),
  beforeLoad: async ({ context }) => {
    const setup = await context.queries.ensureQueryData(setupQuery);
    if (!setup.claimed) throw redirect({ to: "/claim", search: {} });
  },
  component: lazy(() => import("../pages/SignIn"), "SignInPage"),
});

const signedIn = createRoute({
  getParentRoute: () => root,
  path: "/signed-in",
  component: lazy(() => import("../pages/SignedIn"), "SignedInPage"),
});

const claim = createRoute({
  getParentRoute: () => root,
  path: "/claim",
  validateSearch: (search: Record<string, unknown>): { step?: string } => ({ step: text(search["step"]) }),
  component: lazy(() => import("../pages/Claim"), "ClaimPage"),
});

const invitation = createRoute({
  getParentRoute: () => root,
  path: "/invitation",
  component: lazy(() => import("../pages/Invitation"), "InvitationPage"),
});
const reset = createRoute({
  getParentRoute: () => root,
  path: "/reset",
  component: lazy(() => import("../pages/Invitation"), "ResetPage"),
});
const signUp = createRoute({
  getParentRoute: () => root,
  path: "/sign-up",
  component: lazy(() => import("../pages/Invitation"), "SignUpPage"),
});

/** What works without the second factor that the policy asks for. */
const OPEN_WITHOUT_FACTOR = /^\/(account|help)(\/|$)/;

const confirmEmail = createRoute({
  getParentRoute: () => root,
  path: "/confirm-email",
  component: lazy(() => import("../pages/ConfirmEmail"), "ConfirmEmailPage"),
});

const app = createRoute({
  getParentRoute: () => root,
  id: "app",
  beforeLoad: async ({ context, location }) => {
    try {
      const { totp } = await context.queries.ensureQueryData(sessionQuery);
      // Until the second factor is set up, everything else would be refused.
      if (totp.required && !totp.enabled && !OPEN_WITHOUT_FACTOR.test(location.pathname)) {
        throw redirect({ to: "/account" });
      }
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      const setup = await context.queries.fetchQuery(setupQuery);
      if (!setup.claimed) throw redirect({ to: "/claim", search: {} });
      throw redirect({ to: "/signin", search: location.pathname === "/" ? {} : { next: location.href } });
    }
  },
  component: Frame,
  // Without a session there is no frame to stand in.
  errorComponent: ({ error, reset }) => (
    <main style={{ padding: 24 }}>
      <ProblemAlert error={error} retry={reset} />
    </main>
  ),
  notFoundComponent: NoPage,
});

const home = createRoute({
  getParentRoute: () => app,
  path: "/",
  beforeLoad: async ({ context }) => {
    const session = await context.queries.ensureQueryData(sessionQuery);
    const last = localStorage.getItem("holdfast-group");
    const group = session.groups.find((g) => g.name === last) ?? session.groups[0];
    if (group) throw redirect({ to: "/g/$group", params: { group: group.name } });
  },
  component: lazy(() => import("../pages/NoGroup"), "NoGroupPage"),
});

const group = createRoute({ getParentRoute: () => app, path: "/g/$group", component: Outlet });

const overview = createRoute({
  getParentRoute: () => group,
  path: "/",
  component: lazy(() => import("../pages/Overview"), "OverviewPage"),
});
const deployments = createRoute({
  getParentRoute: () => group,
  path: "/deployments",
  component: lazy(() => import("../pages/Deployments"), "DeploymentsPage"),
});
const addDeployment = createRoute({
  getParentRoute: () => group,
  path: "/deployments/add",
  validateSearch: (search: Record<string, unknown>): { deployment?: string } => ({
    deployment: text(search["deployment"]),
  }),
  component: lazy(() => import("../pages/AddDeployment"), "AddDeploymentPage"),
});
const deployment = createRoute({
  getParentRoute: () => group,
  path: "/deployments/$deployment",
  component: lazy(() => import("../pages/Deployment"), "DeploymentPage"),
});
const hosts = createRoute({
  getParentRoute: () => group,
  path: "/hosts",
  component: lazy(() => import("../pages/Hosts"), "HostsPage"),
});
const HOST_TABS = [
  "operations",
  "server",
  "storage",
  "replication",
  "machine",
  "disks",
  "databases",
  "facts",
  "pings",
] as const;
export interface HostSearch {
  tab?: (typeof HOST_TABS)[number] | undefined;
  /** Width of the charts, in seconds. */
  span?: number | undefined;
  /** Their right edge, seconds since 1970; none: they follow now. */
  to?: number | undefined;
  /** The chosen disk or database. */
  part?: string | undefined;
}
const host = createRoute({
  getParentRoute: () => group,
  path: "/hosts/$host",
  validateSearch: (search: Record<string, unknown>): HostSearch => ({
    tab: HOST_TABS.find((tab) => tab === search["tab"]),
    span: number(search["span"]),
    to: number(search["to"]),
    part: text(search["part"]),
  }),
  component: lazy(() => import("../pages/Host"), "HostPage"),
});
const backups = createRoute({
  getParentRoute: () => group,
  path: "/backups",
  component: lazy(() => import("../pages/Backups"), "BackupsPage"),
});

export interface BackupSearch {
  /** Left edge, seconds since 1970; none: the view follows now. */
  from?: number;
  /** Width, in seconds. */
  span?: number;
  /** The chosen instant: seconds, or SECONDS,INCREMENT. */
  at?: string;
  tab?: "timeline" | "snapshots" | "settings";
  snapshot?: string;
}
const backup = createRoute({
  getParentRoute: () => group,
  path: "/backups/$rs",
  validateSearch: (search: Record<string, unknown>): BackupSearch => ({
    from: number(search["from"]),
    span: number(search["span"]),
    at: search["at"] === undefined ? undefined : String(search["at"]),
    tab: (["timeline", "snapshots", "settings"] as const).find((tab) => tab === search["tab"]),
    snapshot: text(search["snapshot"]),
  }),
  component: lazy(() => import("../pages/Backup"), "BackupPage"),
});
const restore = createRoute({
  getParentRoute: () => group,
  path: "/backups/$rs/restore",
  validateSearch: (search: Record<string, unknown>): { at?: string; snapshot?: string; chain?: number } => ({
    at: search["at"] === undefined ? undefined : String(search["at"]),
    snapshot: text(search["snapshot"]),
    chain: Number.isSafeInteger(search["chain"]) ? Number(search["chain"]) : undefined,
  }),
  component: lazy(() => import("../pages/Restore"), "RestorePage"),
});
const restores = createRoute({
  getParentRoute: () => group,
  path: "/restores",
  component: lazy(() => import("../pages/Restores"), "RestoresPage"),
});
const restoreJob = createRoute({
  getParentRoute: () => group,
  path: "/restores/$restore",
  component: lazy(() => import("../pages/RestoreJob"), "RestoreJobPage"),
});
const sftpTargets = createRoute({
  getParentRoute: () => group,
  path: "/sftp",
  component: lazy(() => import("../pages/SftpTargets"), "SftpTargetsPage"),
});
const agents = createRoute({
  getParentRoute: () => group,
  path: "/agents",
  component: lazy(() => import("../pages/Agents"), "AgentsPage"),
});
const people = createRoute({
  getParentRoute: () => group,
  path: "/people",
  component: lazy(() => import("../pages/People"), "PeoplePage"),
});
const keys = createRoute({
  getParentRoute: () => group,
  path: "/keys",
  component: lazy(() => import("../pages/Keys"), "KeysPage"),
});
const groupAudit = createRoute({
  getParentRoute: () => group,
  path: "/audit",
  component: lazy(() => import("../pages/Audit"), "AuditPage"),
});

const daemons = createRoute({
  getParentRoute: () => app,
  path: "/admin/daemons",
  component: lazy(() => import("../pages/Daemons"), "DaemonsPage"),
});
type BlockstoreTab = "numbers" | "history" | "work" | "stores" | "verification" | "keys";
export interface JobSearch {
  kind?: "snapshot" | "restore" | "blockstore" | "offsite" | "move" | "backup";
  state?: "queued" | "running" | "done" | "failed" | "cancelled";
  cursor?: string;
}
const blockstore = createRoute({
  getParentRoute: () => app,
  path: "/admin/blockstore",
  validateSearch: (search: Record<string, unknown>): { tab?: BlockstoreTab } => ({
    tab: (["numbers", "history", "work", "stores", "verification", "keys"] as const).find(
      (tab) => tab === search["tab"],
    ),
  }),
  component: lazy(() => import("../pages/Blockstore"), "BlockstorePage"),
});
const offsite = createRoute({
  getParentRoute: () => app,
  path: "/admin/offsite",
  component: lazy(() => import("../pages/Offsite"), "OffsitePage"),
});
const jobs = createRoute({
  getParentRoute: () => app,
  path: "/admin/jobs",
  validateSearch: (search: Record<string, unknown>): JobSearch => ({
    kind: (["snapshot", "restore", "blockstore", "offsite", "move", "backup"] as const).find(
      (kind) => kind === search["kind"],
    ),
    state: (["queued", "running", "done", "failed", "cancelled"] as const).find((state) => state === search["state"]),
    cursor: text(search["cursor"]),
  }),
  component: lazy(() => import("../pages/Jobs"), "JobsPage"),
});
export interface LogSearch {
  program?: string | undefined;
  level?: "error" | "warn" | undefined;
  text?: string | undefined;
}
const logs = createRoute({
  getParentRoute: () => app,
  path: "/admin/logs",
  validateSearch: (search: Record<string, unknown>): LogSearch => ({
    program: text(search["program"]),
    level: (["error", "warn"] as const).find((level) => level === search["level"]),
    text: search["text"] === undefined ? undefined : text(String(search["text"])),
  }),
  component: lazy(() => import("../pages/Logs"), "LogsPage"),
});
const users = createRoute({
  getParentRoute: () => app,
  path: "/admin/users",
  component: lazy(() => import("../pages/Users"), "UsersPage"),
});
const applianceKeys = createRoute({
  getParentRoute: () => app,
  path: "/admin/keys",
  component: lazy(() => import("../pages/ApplianceKeys"), "ApplianceKeysPage"),
});
const groups = createRoute({
  getParentRoute: () => app,
  path: "/admin/groups",
  component: lazy(() => import("../pages/Groups"), "GroupsPage"),
});
const settings = createRoute({
  getParentRoute: () => app,
  path: "/admin/settings",
  component: lazy(() => import("../pages/Settings"), "SettingsPage"),
});
const audit = createRoute({
  getParentRoute: () => app,
  path: "/admin/audit",
  component: lazy(() => import("../pages/Audit"), "ApplianceAuditPage"),
});
const account = createRoute({
  getParentRoute: () => app,
  path: "/account",
  component: lazy(() => import("../pages/Account"), "AccountPage"),
});
const help = createRoute({
  getParentRoute: () => app,
  path: "/help",
  component: lazy(() => import("../pages/Help"), "HelpPage"),
});
const topic = createRoute({
  getParentRoute: () => app,
  path: "/help/$topic",
  component: lazy(() => import("../pages/Help"), "HelpPage"),
});

const tree = root.addChildren([
  signIn,
  signedIn,
  claim,
  invitation,
  reset,
  signUp,
  confirmEmail,
  app.addChildren([
    home,
    group.addChildren([
      overview,
      deployments,
      addDeployment,
      deployment,
      hosts,
      host,
      backups,
      backup,
      restore,
      restores,
      restoreJob,
      sftpTargets,
      agents,
      people,
      keys,
      groupAudit,
    ]),
    daemons,
    blockstore,
    offsite,
    jobs,
    logs,
    users,
    applianceKeys,
    groups,
    settings,
    audit,
    account,
    help,
    topic,
  ]),
]);

export const makeRouter = (queries: QueryClient) =>
  createRouter({
    routeTree: tree,
    context: { queries },
    defaultPreload: "intent",
    defaultPreloadStaleTime: 0,
    // Every page fails in its own place: one refusal does not take the frame away.
    defaultErrorComponent: Failed,
  });

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
