// Who is signed in, and what happens when nobody is (any more).
import { useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { roleOptions, type Session } from "../api/access";
import { enrolment, signedOut } from "../api/client";
import { sessionQuery } from "../api/queries";
import { allowed, type Permission } from "./may";

export function useSession(): Session {
  return useSuspenseQuery(sessionQuery).data;
}

/** What the person may do in a group, by the roles held there and over the whole appliance; `over`: over the appliance alone. */
export function useMay(group: string | undefined) {
  const session = useSession();
  const roles = session.groups.find((g) => g.name === group || g.id === group)?.roles ?? session.globalRoles;
  const here = (permission: Permission) => allowed(roles, permission);
  return {
    backup: here("backups:change"),
    agents: here("agents:create"),
    deployments: here("deployments:change"),
    daemons: allowed(session.globalRoles, "daemons:read"),
    owner: roles.includes("owner"),
    people: here("members:change"),
    audit: here("audit:read"),
    /** Roles that the person may hand out there: owners all, user admins all but owner. */
    grants: roleOptions.filter(({ value }) => value !== "owner" || roles.includes("owner")),
    over: (permission: Permission) => allowed(session.globalRoles, permission),
  };
}

/** Sends to the account page when the server says that a second factor must be set up first: the policy has changed meanwhile. */
export function useEnrolment(): void {
  const navigate = useNavigate();
  const queries = useQueryClient();
  useEffect(() => {
    const go = () => {
      void queries.invalidateQueries({ queryKey: sessionQuery.queryKey });
      void navigate({ to: "/account" });
    };
    enrolment.addEventListener("required", go);
    return () => enrolment.removeEventListener("required", go);
  }, [navigate, queries]);
}

/** Sends to the sign-in page as soon as the server no longer knows this browser; afterwards one comes back here. */
export function useSignedOut(): void {
  const navigate = useNavigate();
  const queries = useQueryClient();
  useEffect(() => {
    const go = () => {
      queries.removeQueries({ queryKey: ["session"] });
      const { pathname, search } = window.location;
      if (pathname === "/signin") return;
      void navigate({ to: "/signin", search: { next: pathname + search, ended: true } });
    };
    signedOut.addEventListener("signedOut", go);
    return () => signedOut.removeEventListener("signedOut", go);
  }, [navigate, queries]);
}
