// What monitoring pages read.
import { queryOptions } from "@tanstack/react-query";
import { pollMs } from "../app/live";
import { client, data } from "./client";
import type { components } from "./schema";

type S = components["schemas"];
export type Host = S["HostView"];
export type HostFacts = S["HostFactsView"];
export type Metric = S["MetricView"];
export type Measurements = S["MeasurementsView"];
export type HostEvent = S["HostEventView"];

/** Hosts are read every ten seconds. */
const PERIOD_MS = 10_000;
const at = (seconds: number) => new Date(seconds * 1000).toISOString();

export const metricsQuery = queryOptions({
  queryKey: ["metrics"],
  queryFn: () => data(client.GET("/metrics")),
  staleTime: Infinity,
});
export const hostsQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "hosts"],
    queryFn: () => data(client.GET("/groups/{group}/hosts", { params: { path: { group } } })),
    refetchInterval: () => Math.max(pollMs(), PERIOD_MS),
  });
export const hostQuery = (group: string, host: string) =>
  queryOptions({
    queryKey: ["group", group, "host", host],
    queryFn: () => data(client.GET("/groups/{group}/hosts/{host}", { params: { path: { group, host } } })),
    refetchInterval: PERIOD_MS,
  });
export const factsQuery = (group: string, host: string) =>
  queryOptions({
    queryKey: ["group", group, "host", host, "facts"],
    queryFn: () => data(client.GET("/groups/{group}/hosts/{host}/facts", { params: { path: { group, host } } })),
  });
export const pingsQuery = (group: string, host: string) =>
  queryOptions({
    queryKey: ["group", group, "host", host, "pings"],
    queryFn: () => data(client.GET("/groups/{group}/hosts/{host}/pings", { params: { path: { group, host } } })),
  });

export interface MeasurementsOf {
  group: string;
  host: string;
  /** A disk or database; none: the host itself. */
  part?: string;
  metrics: string[];
  /** Seconds since 1970; none: now. */
  to?: number;
  span: number;
}
export const measurementsQuery = ({ group, host, part, metrics, to, span }: MeasurementsOf) =>
  queryOptions({
    queryKey: ["group", group, "host", host, "measurements", part, metrics.join(","), to, span],
    queryFn: () => {
      const end = to ?? Math.floor(Date.now() / 1000);
      const query = {
        metrics: metrics.join(","),
        from: at(end - span),
        to: at(end),
        ...(part === undefined ? {} : { part }),
      };
      return data(
        client.GET("/groups/{group}/hosts/{host}/measurements", { params: { path: { group, host }, query } }),
      );
    },
    enabled: metrics.length > 0,
    placeholderData: (old: Measurements | undefined) => old,
    ...(to === undefined ? { refetchInterval: PERIOD_MS } : {}),
  });
export const hostEventsQuery = (group: string, host: string, to: number | undefined, span: number) =>
  queryOptions({
    queryKey: ["group", group, "host", host, "events", to, span],
    queryFn: () => {
      const end = to ?? Math.floor(Date.now() / 1000);
      const query = { host, from: at(end - span), to: at(end) };
      return data(client.GET("/groups/{group}/hostEvents", { params: { path: { group }, query } }));
    },
    ...(to === undefined ? { refetchInterval: PERIOD_MS } : {}),
  });
