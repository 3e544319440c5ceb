// Who is signed in, and what happens when nobody is (any more).
import { useQueryClient, useSuspenseQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Session } from "../api/access";
import { signedOut } from "../api/client";
import { sessionQuery } from "../api/queries";

export function useSession(): Session {
  return useSuspenseQuery(sessionQuery).data;
}

/** Roles of the person in a group, those of the whole appliance among them. */
export function useMay(group: string | undefined) {
  const session = useSession();
  const own = session.groups.find((g) => g.name === group || g.id === group)?.roles ?? [];
  const roles = new Set([...own, ...session.globalRoles]);
  const any = (...wanted: string[]) => roles.has("owner") || wanted.some((role) => roles.has(role as never));
  return {
    backup: any("backupAdmin"),
    agents: any("backupAdmin", "monitoringAdmin"),
    monitoring: any("monitoringAdmin"),
    people: any("userAdmin"),
    owner: any(),
    system: session.globalRoles.length > 0,
  };
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
