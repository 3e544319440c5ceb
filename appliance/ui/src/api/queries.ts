// What pages read, as queries: one key each, below ["group", name] where a group's events renew it.

import { queryOptions } from "@tanstack/react-query";
import { pollMs } from "../app/live";
import { client, data } from "./client";
import * as access from "./access";
import type { components } from "./schema";

type S = components["schemas"];
export type GroupOverview = S["GroupOverviewView"];
export type Overview = S["OverviewView"];
export type Backup = S["BackupView"];
export type Deployment = S["DeploymentView"];
export type Agent = S["AgentView"];
export type Snapshot = S["SnapshotView"];
export type Restore = S["RestoreView"];
export type Timeline = S["TimelineView"];
export type Cut = S["CutView"];
export type Daemon = S["DaemonView"];
export type ApiKey = S["KeyView"];
export type Settings = S["SettingsView"];
export type Policy = S["PolicyView"];
export type Retention = S["RetentionView"];
export type Preview = S["RetentionPreviewView"];

const live = { refetchInterval: () => pollMs() };

export const setupQuery = queryOptions({ queryKey: ["setup"], queryFn: access.getSetup, staleTime: 30_000 });
export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: access.getSession,
  staleTime: 60_000,
  retry: false,
});

const path = (group: string) => ({ params: { path: { group } } });
const of = (group: string, rs: string) => ({ params: { path: { group, rs } } });

export const groupOverviewQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "overview"],
    queryFn: () => data(client.GET("/groups/{group}/overview", path(group))),
    ...live,
  });
/** The same answer, its deployments alone. */
export const overviewQuery = (group: string) =>
  queryOptions({ ...groupOverviewQuery(group), select: (all: GroupOverview) => all.deployments });
export const policiesKey = (group: string) => ["group", group, "policies"];
export const readPolicies = (group: string) => data(client.GET("/groups/{group}/policies", path(group)));
export const deploymentsQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "deployments"],
    queryFn: () => data(client.GET("/groups/{group}/deployments", path(group))),
    ...live,
  });
export const agentsQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "agents"],
    queryFn: () => data(client.GET("/groups/{group}/agents", path(group))),
    ...live,
  });
export const backupsQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "backups"],
    queryFn: () => data(client.GET("/groups/{group}/backups", path(group))),
    ...live,
  });
export const readBackup = (group: string, rs: string) =>
  data(client.GET("/groups/{group}/backups/{rs}", of(group, rs)));
export const backupQuery = (group: string, rs: string) =>
  queryOptions({
    queryKey: ["group", group, "backup", rs],
    queryFn: () => readBackup(group, rs),
    ...live,
  });
export const snapshotsQuery = (group: string, rs: string) =>
  queryOptions({
    queryKey: ["group", group, "snapshots", rs],
    queryFn: () => data(client.GET("/groups/{group}/backups/{rs}/snapshots", of(group, rs))),
    ...live,
  });
/** A page of the group's restores; the first without a cursor. */
export const restoresPage = (group: string, cursor?: string) =>
  data(
    client.GET("/groups/{group}/restores", {
      params: { path: { group }, query: cursor === undefined ? {} : { cursor } },
    }),
  );
/** `from` and `to` in whole seconds; the caller rounds them, so that a moving view does not ask at every pixel. */
export const timelineQuery = (group: string, rs: string, from: number, to: number) =>
  queryOptions({
    queryKey: ["group", group, "timeline", rs, from, to],
    queryFn: () => {
      const at = (seconds: number) => new Date(seconds * 1000).toISOString();
      const query = { from: at(from), to: at(to) };
      return data(client.GET("/groups/{group}/backups/{rs}/timeline", { params: { path: { group, rs }, query } }));
    },
    placeholderData: (old: Timeline | undefined) => old,
    ...live,
  });
export const cutQuery = (group: string, rs: string, at: string | null, chain?: number) =>
  queryOptions({
    queryKey: ["group", group, "cut", rs, at, chain],
    queryFn: () => {
      const query = { at: at ?? "", ...(chain === undefined ? {} : { chain }) };
      return data(client.GET("/groups/{group}/backups/{rs}/cut", { params: { path: { group, rs }, query } }));
    },
    enabled: at !== null,
    retry: false,
    staleTime: 60_000,
  });
/** What a restore would take; null: nothing is chosen. */
export const estimateQuery = (
  group: string,
  rs: string,
  what: { at: string; chain?: number } | { snapshot: string } | null,
) =>
  queryOptions({
    queryKey: ["group", group, "estimate", rs, what],
    queryFn: () =>
      data(
        client.GET("/groups/{group}/backups/{rs}/restores/estimate", {
          params: { path: { group, rs }, query: what ?? {} },
        }),
      ),
    enabled: what !== null,
    retry: false,
    staleTime: 30_000,
  });
export const restoreQuery = (id: string) =>
  queryOptions({
    queryKey: ["restore", id],
    queryFn: () => data(client.GET("/restores/{restore}", { params: { path: { restore: id } } })),
    refetchInterval: ({ state: { data: restore } }) => {
      const pushing = restore?.delivery && ["waiting", "sending"].includes(restore.delivery.state);
      return restore && !pushing && ["ready", "failed", "expired"].includes(restore.state) ? 5_000 : 700;
    },
  });
export const daemonsQuery = queryOptions({
  queryKey: ["daemons"],
  queryFn: () => data(client.GET("/daemons")),
  refetchInterval: 5_000,
});
export const groupsQuery = queryOptions({ queryKey: ["groups"], queryFn: () => data(client.GET("/groups")) });
export const keysQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "apiKeys"],
    queryFn: () => data(client.GET("/groups/{group}/apiKeys", path(group))),
  });
