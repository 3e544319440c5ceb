// The blockstore with its work, stores and keys, and offsite copies. One query or function per request.

import { queryOptions } from "@tanstack/react-query";
import { client, data } from "./client";
import type { components } from "./schema";

type S = components["schemas"];
export type Blockstore = S["BlockstoreView"];
export type Store = S["StoreView"];
export type Work = S["BlockstoreRequestView"];
export type Report = S["ReportView"];
export type Copy = S["CopyView"];
export type Pulled = S["PulledView"];

/** How often live work is asked for, and what changes slowly. */
const WORK_MS = 2_000;
const SLOW_MS = 15_000;
const HISTORY_MS = 60_000;

export const blockstoreQuery = queryOptions({
  queryKey: ["blockstore", "numbers"],
  queryFn: () => data(client.GET("/blockstore")),
  refetchInterval: SLOW_MS,
});
export type History = S["BlockstoreHistoryView"];
/** How the blockstore grew within so many seconds. */
export const historyQuery = (seconds: number) =>
  queryOptions({
    queryKey: ["blockstore", "history", seconds],
    queryFn: () => {
      const from = new Date(Date.now() - seconds * 1000).toISOString();
      return data(client.GET("/blockstore/history", { params: { query: { from } } }));
    },
    placeholderData: (old: History | undefined) => old,
    refetchInterval: HISTORY_MS,
  });
export const workQuery = queryOptions({
  queryKey: ["blockstore", "requests"],
  queryFn: () => data(client.GET("/blockstore/requests")),
  refetchInterval: WORK_MS,
});
export const reportQuery = queryOptions({
  queryKey: ["blockstore", "report"],
  queryFn: () => data(client.GET("/blockstore/report")),
  refetchInterval: SLOW_MS,
});
export const askWork = (body: S["NewBlockstoreRequest"]) => data(client.POST("/blockstore/requests", { body }));
export const cancelWork = (request: string) =>
  client.DELETE("/blockstore/requests/{request}", { params: { path: { request } } });
export const addStore = (body: S["NewStore"]) => data(client.POST("/blockstore/stores", { body }));
export const changeStore = (number: number, body: S["ChangeStore"]) =>
  client.PATCH("/blockstore/stores/{number}", { params: { path: { number } }, body });
export const exportKey = (group: string, form: S["KeyForm"]) =>
  data(client.POST("/groups/{group}/key/export", { params: { path: { group } }, body: { form } }));

export const copiesQuery = queryOptions({
  queryKey: ["offsite"],
  queryFn: () => data(client.GET("/offsite/copies")),
  refetchInterval: WORK_MS,
});
export const pulledQuery = (copy: string) =>
  queryOptions({
    queryKey: ["offsite", copy, "snapshots"],
    queryFn: () => data(client.GET("/offsite/copies/{copy}/snapshots", { params: { path: { copy } } })),
    refetchInterval: SLOW_MS,
  });
export const addCopy = (body: S["NewCopy"]) => data(client.POST("/offsite/copies", { body }));
export const runCopy = (copy: string) => client.POST("/offsite/copies/{copy}/run", { params: { path: { copy } } });
export const removeCopy = (copy: string) => client.DELETE("/offsite/copies/{copy}", { params: { path: { copy } } });
export const restorePulled = (copy: string, snapshot: string) =>
  data(client.POST("/offsite/copies/{copy}/restores", { params: { path: { copy } }, body: { snapshot } }));
