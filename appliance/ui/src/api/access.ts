// Sign-in, set-up, account, people, settings of access: one function per request.

import { client, data, ifSeen, tagged } from "./client";
import type { components } from "./schema";

type S = components["schemas"];
export type Role = S["RoleName"];
export type Session = S["CurrentSession"];
export type Setup = S["SetupView"];
export type Member = S["MemberView"];
export type Invitation = S["InvitationView"];
export type JoinRequest = S["JoinRequestView"];
export type User = S["UserView"];
export type AuditEntry = S["AuditView"];
export type OpenSession = S["SessionView"];
export type AccessSettings = S["AccessSettings"];
export type MailSettings = S["MailView"];
export type OidcSettings = S["OidcView"];
export type PublicUrl = S["PublicUrlView"];
export type BackupDefaults = S["BackupDefaultsView"];
export type LdapSettings = S["LdapView"];
export type ArrivalRules = S["ArrivalRules"];

export const ROLES: { value: Role; label: string; may: string }[] = [
  { value: "owner", label: "Owner", may: "everything" },
  { value: "backupAdmin", label: "Backup admin", may: "backs up and restores" },
  { value: "monitoringAdmin", label: "Monitoring admin", may: "enrols agents, adds deployments" },
  { value: "userAdmin", label: "User admin", may: "invites, approves, gives roles but owner, makes keys" },
  { value: "readOnly", label: "Read only", may: "looks" },
];
export const roleLabel = (role: string) => ROLES.find((r) => r.value === role)?.label ?? role;
export const roleOptions = ROLES.map(({ value, label, may }) => ({ value, label: `${label}: ${may}` }));

export const getSetup = () => data(client.GET("/setup"));
export const tryCode = (code: string) => client.POST("/setup/code", { body: { code } });
export const claim = (body: S["NewClaim"]) => data(client.POST("/setup/claim", { body }));
export const signIn = (body: S["SignIn"]) => data(client.POST("/sessions", { body }));
export const getSession = () => data(client.GET("/sessions/current"));
export const signOut = () => client.DELETE("/sessions/current");
export const verify = (body: S["Verify"]) => client.POST("/sessions/current/verify", { body });
export const beginOidc = (body: S["BeginOidc"]) => data(client.POST("/sign-ins/oidc", { body }));
export const finishOidc = (body: S["FinishOidc"]) => data(client.POST("/sign-ins/oidc/finish", { body }));
export const sendSignInCode = (body: S["SendCode"]) => data(client.POST("/sign-ins/code", { body }));
export const askReset = (email: string) => data(client.POST("/password-resets", { body: { email } }));
export const confirmReset = (body: S["ConfirmReset"]) => client.POST("/password-resets/confirm", { body });
export const askSignUp = (body: S["NewSignUp"]) => data(client.POST("/sign-ups", { body }));
export const confirmSignUp = (body: S["ConfirmSignUp"]) => data(client.POST("/sign-ups/confirm", { body }));
export const lookAtInvitation = (token: string) => data(client.POST("/invitations/look", { body: { token } }));
export const acceptInvitation = (body: S["AcceptInvitation"]) => data(client.POST("/invitations/accept", { body }));

export const changeAccount = (body: S["ChangeAccount"]) => client.PUT("/account", { body });
export const changeAddress = (body: S["ChangeAccount"]) => data(client.PUT("/account", { body }));
export const confirmEmail = (token: string) => client.POST("/account/email/confirm", { body: { token } });
export const changePassword = (body: S["ChangePassword"]) => client.POST("/account/password", { body });
export const listSessions = () => data(client.GET("/account/sessions"));
export const endSession = (session: string) =>
  client.DELETE("/account/sessions/{session}", { params: { path: { session } } });
export const endOtherSessions = () => client.DELETE("/account/sessions");
export const beginTotp = (password: string) => data(client.POST("/account/totp", { body: { password } }));
export const confirmTotp = (code: string) => data(client.POST("/account/totp/confirm", { body: { code } }));
export const renewRecovery = () => data(client.POST("/account/totp/recovery-codes"));
export const removeTotp = () => client.DELETE("/account/totp");
export const listOwnKeys = () => data(client.GET("/account/apiKeys"));
export const makeOwnKey = (body: S["NewOwnKey"]) => data(client.POST("/account/apiKeys", { body }));
export const revokeOwnKey = (key: string) => client.DELETE("/account/apiKeys/{key}", { params: { path: { key } } });
export const leaveGroup = (group: string) => client.DELETE("/account/groups/{group}", { params: { path: { group } } });
export const askToJoin = (body: S["NewJoinRequest"]) => client.POST("/joinRequests", { body });

const of = (group: string) => ({ params: { path: { group } } });
export const listMembers = (group: string) => data(client.GET("/groups/{group}/members", of(group)));
export const setRoles = (group: string, { user, revision }: Member, roles: Role[]) =>
  client.PUT("/groups/{group}/members/{user}", {
    params: { path: { group, user: user.id } },
    body: { roles },
    ...ifSeen(revision),
  });
export const removeMember = (group: string, user: string) =>
  client.DELETE("/groups/{group}/members/{user}", { params: { path: { group, user } } });
export const listInvitations = (group: string) => data(client.GET("/groups/{group}/invitations", of(group)));
export const invite = (group: string, body: S["NewInvitation"]) =>
  data(client.POST("/groups/{group}/invitations", { ...of(group), body }));
export const revokeInvitation = (group: string, invitation: string) =>
  client.DELETE("/groups/{group}/invitations/{invitation}", { params: { path: { group, invitation } } });
export const listJoinRequests = (group: string) => data(client.GET("/groups/{group}/joinRequests", of(group)));
export const answerJoinRequest = (group: string, request: string, roles: Role[]) =>
  client.POST("/groups/{group}/joinRequests/{request}", { params: { path: { group, request } }, body: { roles } });

export const listUsers = (cursor?: string) => data(client.GET("/users", { params: { query: { cursor, limit: 100 } } }));
export const createUser = (body: S["NewUser"]) => data(client.POST("/users", { body }));
export const changeUser = ({ id: user, revision }: User, body: S["ChangeUser"]) =>
  client.PUT("/users/{user}", { params: { path: { user } }, body, ...ifSeen(revision) });
export const groupAudit = (group: string, cursor?: string) =>
  data(client.GET("/groups/{group}/audit", { params: { path: { group }, query: { cursor, limit: 100 } } }));
export const allAudit = (cursor?: string) => data(client.GET("/audit", { params: { query: { cursor, limit: 100 } } }));

/** Settings are read with their revision and set if they are still at it. */
type Seen = number | undefined;
export const getAccess = () => tagged(client.GET("/settings/access"));
export const setAccess = (body: AccessSettings, seen: Seen) =>
  client.PUT("/settings/access", { body, ...ifSeen(seen) });
export const getMail = () => tagged(client.GET("/settings/mail"));
export const setMail = (body: S["SetMail"], seen: Seen) => client.PUT("/settings/mail", { body, ...ifSeen(seen) });
export const getPublicUrl = () => tagged(client.GET("/settings/publicUrl"));
export const setPublicUrl = (url: string | null, seen: Seen) =>
  client.PUT("/settings/publicUrl", { body: { url }, ...ifSeen(seen) });
export const getBackupDefaults = () => tagged(client.GET("/settings/backupDefaults"));
export const setBackupDefaults = (body: BackupDefaults, seen: Seen) =>
  client.PUT("/settings/backupDefaults", { body, ...ifSeen(seen) });
export const getOidc = () => data(client.GET("/settings/oidc"));
export const setOidc = (body: S["SetOidc"]) => data(client.PUT("/settings/oidc", { body }));
export const testOidc = () => data(client.POST("/settings/oidc/test"));
export const getLdap = () => data(client.GET("/settings/ldap"));
export const setLdap = (body: S["SetLdap"]) => data(client.PUT("/settings/ldap", { body }));
export const testLdap = (user: string | null) => data(client.POST("/settings/ldap/test", { body: { user } }));
export const testMail = (to: string) => client.POST("/settings/mail/test", { body: { to } });
