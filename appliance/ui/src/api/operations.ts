// The appliance at work: daemons, jobs of all kinds, the certificate for browsers. One query or function per request.

import { queryOptions } from "@tanstack/react-query";
import { client, data } from "./client";
import type { components } from "./schema";

type S = components["schemas"];
export type Daemon = S["DaemonView"];
export type Job = S["JobView"];

/** How often live work is asked for. */
const WORK_MS = 2_000;

export const jobsQuery = (filter: { kind?: Job["kind"]; state?: Job["state"]; cursor?: string }) =>
  queryOptions({
    queryKey: ["jobs", filter.kind, filter.state, filter.cursor],
    queryFn: () => data(client.GET("/jobs", { params: { query: { ...filter, limit: 50 } } })),
    refetchInterval: WORK_MS,
  });

export type LogLine = S["LogLineView"];
export interface LogChoice {
  program?: string | undefined;
  level?: "error" | "warn" | "info" | undefined;
  text?: string | undefined;
}
/** A page of the log, newest first. */
export const logPage = (choice: LogChoice, before?: string) => {
  const query = { ...choice, ...(before === undefined ? {} : { before }) };
  return data(client.GET("/logs", { params: { query } }));
};

export const changeDaemon = (daemon: string, body: S["ChangeDaemon"]) =>
  client.PATCH("/daemons/{daemon}", { params: { path: { daemon } }, body });
export const moveHead = (group: string, rs: string, daemon: string) =>
  client.POST("/groups/{group}/backups/{rs}/move", { params: { path: { group, rs } }, body: { daemon } });

export const tlsQuery = queryOptions({
  queryKey: ["settings", "tls"],
  queryFn: () => data(client.GET("/settings/tls")),
});
export const setTls = (body: S["SetTls"]) => data(client.PUT("/settings/tls", { body }));
export const removeTls = () => client.DELETE("/settings/tls");
