// The server's table of who may do what, mirrored: `domain/src/access.rs` is the original, and a test compares the two.
//
// It decides what the app offers, never what is allowed: the server judges every request by its own table.
import type { Role } from "../api/access";

const EVERYONE: readonly Role[] = ["owner", "backupAdmin", "monitoringAdmin", "userAdmin", "readOnly"];
const OWNERS: readonly Role[] = ["owner"];
const BACKUP: readonly Role[] = ["owner", "backupAdmin"];
const MONITORING: readonly Role[] = ["owner", "monitoringAdmin"];
const PEOPLE: readonly Role[] = ["owner", "userAdmin"];

/** `resource:action`, with the roles that may. What has no row is allowed to nobody. */
export const TABLE = {
  "groups:read": EVERYONE,
  "groups:create": OWNERS,
  "groups:change": OWNERS,
  "members:read": EVERYONE,
  "members:change": PEOPLE,
  "members:delete": PEOPLE,
  "invitations:read": PEOPLE,
  "invitations:create": PEOPLE,
  "invitations:delete": PEOPLE,
  "joinRequests:read": PEOPLE,
  "joinRequests:change": PEOPLE,
  "apiKeys:read": PEOPLE,
  "apiKeys:create": PEOPLE,
  "apiKeys:delete": PEOPLE,
  "agents:read": EVERYONE,
  "agents:create": MONITORING,
  "agents:delete": MONITORING,
  "deployments:read": EVERYONE,
  "deployments:create": MONITORING,
  "deployments:change": MONITORING,
  "deployments:delete": MONITORING,
  "backups:read": EVERYONE,
  "backups:create": BACKUP,
  "backups:change": BACKUP,
  "backups:delete": BACKUP,
  "snapshots:read": EVERYONE,
  "snapshots:create": BACKUP,
  "snapshots:change": BACKUP,
  "snapshots:delete": BACKUP,
  "restores:read": EVERYONE,
  "restores:create": BACKUP,
  "restores:change": BACKUP,
  "restores:delete": BACKUP,
  "events:read": EVERYONE,
  "audit:read": PEOPLE,
  "daemons:read": EVERYONE,
  "daemons:change": BACKUP,
  "blockstore:read": EVERYONE,
  "blockstore:create": BACKUP,
  "blockstore:change": BACKUP,
  "blockstore:delete": OWNERS,
  "groupKeys:read": OWNERS,
  "offsiteCopies:read": EVERYONE,
  "offsiteCopies:create": OWNERS,
  "offsiteCopies:change": BACKUP,
  "offsiteCopies:delete": OWNERS,
  "users:read": PEOPLE,
  "users:create": PEOPLE,
  "users:change": PEOPLE,
  "settings:read": PEOPLE,
  "settings:change": OWNERS,
  "logs:read": MONITORING,
} as const satisfies Record<string, readonly Role[]>;

export type Permission = keyof typeof TABLE;

export const allowed = (roles: readonly Role[], permission: Permission): boolean =>
  roles.some((role) => (TABLE[permission] as readonly Role[]).includes(role));
