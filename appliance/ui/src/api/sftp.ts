// SFTP targets of a group and the pushes of restores to them: one query or function per request.

import { queryOptions } from "@tanstack/react-query";
import { client, data } from "./client";
import type { components } from "./schema";

type S = components["schemas"];
export type SftpTarget = S["SftpTargetView"];
export type HostKey = S["ShownHostKey"];
export type Delivery = S["DeliveryView"];

/** `backup@vault.example.org`, with the port where it is not that of SSH. */
export const serverOf = ({ user, host, port }: Pick<SftpTarget, "user" | "host" | "port">) =>
  `${user}@${host}${port === 22 ? "" : `:${port}`}`;

const path = (group: string) => ({ params: { path: { group } } });
const of = (group: string, target: string) => ({ params: { path: { group, target } } });

export const sftpTargetsQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "sftp", "targets"],
    queryFn: () => data(client.GET("/groups/{group}/sftp/targets", path(group))),
  });
export const sftpKeyQuery = (group: string) =>
  queryOptions({
    queryKey: ["group", group, "sftp", "key"],
    queryFn: () => data(client.GET("/groups/{group}/sftp/key", path(group))),
    staleTime: Infinity,
  });

/** Connects to a server once, without logging in, and gives the host key that it shows. */
export const lookAtServer = (group: string, body: S["LookAtServer"]) =>
  data(client.POST("/groups/{group}/sftp/look", { ...path(group), body }));
export const addTarget = (group: string, body: S["NewSftpTarget"]) =>
  data(client.POST("/groups/{group}/sftp/targets", { ...path(group), body }));
export const testTarget = (group: string, target: string) =>
  data(client.POST("/groups/{group}/sftp/targets/{target}/test", of(group, target)));
export const removeTarget = (group: string, target: string) =>
  client.DELETE("/groups/{group}/sftp/targets/{target}", of(group, target));

/** Pushes a restore that is ready: to one more target, or again where a push failed. */
export const push = (restore: string, sftp: string) =>
  data(client.POST("/restores/{restore}/delivery", { params: { path: { restore } }, body: { sftp } }));
export const cancelPush = (restore: string) =>
  client.DELETE("/restores/{restore}/delivery", { params: { path: { restore } } });
