// API keys of the whole appliance: they see every group.
import { useSuspenseQuery } from "@tanstack/react-query";
import { client, data } from "../api/client";
import { useMay } from "../app/session";
import { KeyList } from "./Keys";

const KEYS = ["apiKeys"];

export function ApplianceKeysPage() {
  const keys = useSuspenseQuery({ queryKey: KEYS, queryFn: () => data(client.GET("/apiKeys")) }).data;
  return (
    <KeyList
      keys={keys}
      queryKey={KEYS}
      lead="For programs and the command line; these keys see every group, and the appliance itself"
      mayChange={useMay(undefined).over("apiKeys:create")}
      make={(body) => data(client.POST("/apiKeys", { body }))}
      revoke={(key) => client.DELETE("/apiKeys/{key}", { params: { path: { key } } })}
    />
  );
}
