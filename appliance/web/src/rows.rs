//! Every route with what it takes to use it: the only place where routes meet permissions.
//!
//! [`crate::caller::admit`] asks here before any handler runs. A route without a row is answered as a path that does not exist, and a test
//! names it. Handlers decide nothing about roles, but for what depends on the body (which role is given to whom).

use axum::http::Method;
use holdfast_domain::{
    Action::{self, Change, Create, Delete, Read},
    Resource,
};

/// What it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: what happens before anyone is signed in.
    Public,
    /// A session or a key, of whatever role; what is answered is what the caller may see.
    SignedIn,
    /// A session: what a person does with their own account. Keys are refused.
    Person,
    /// The same, with the second factor that the policy asks for: what gives lasting access.
    Enrolled,
    /// A role in the group that the path names.
    Group(Action, Resource),
    /// A role in the group of the restore that the path names.
    Restore(Action, Resource),
    /// A global role.
    Global(Action, Resource),
    /// The global role that makes groups, or an account where the access policy lets everyone make them.
    NewGroup,
}

/// A route.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Method.
    pub method: &'static str,
    /// Path below `/api/v1`, as it is registered.
    pub path: &'static str,
    /// What it takes.
    pub need: Need,
    /// A person must have proved recently who they are: restores, and what takes something away for good.
    pub again: bool,
}

const fn row(method: &'static str, path: &'static str, need: Need) -> Row {
    Row { method, path, need, again: false }
}

const fn again(method: &'static str, path: &'static str, need: Need) -> Row {
    Row { method, path, need, again: true }
}

use Need::{Enrolled, Global, Group, NewGroup, Person, Public, Restore, SignedIn};
use Resource as R;

/// Every route of the API.
pub const ROWS: &[Row] = &[
    // Before anyone is signed in.
    row("GET", "/setup", Public),
    row("POST", "/setup/code", Public),
    row("POST", "/setup/claim", Public),
    row("POST", "/sessions", Public),
    row("POST", "/sign-ins/oidc", Public),
    row("POST", "/sign-ins/oidc/finish", Public),
    row("POST", "/sign-ins/code", Public),
    row("POST", "/password-resets", Public),
    row("POST", "/password-resets/confirm", Public),
    row("POST", "/sign-ups", Public),
    row("POST", "/sign-ups/confirm", Public),
    row("POST", "/account/email/confirm", Public),
    row("POST", "/invitations/look", Public),
    row("POST", "/invitations/accept", Public),
    // The person's own.
    row("GET", "/sessions/current", Person),
    row("DELETE", "/sessions/current", Person),
    row("POST", "/sessions/current/verify", Person),
    row("PUT", "/account", Person),
    row("POST", "/account/password", Person),
    row("GET", "/account/sessions", Person),
    row("DELETE", "/account/sessions", Person),
    row("DELETE", "/account/sessions/{session}", Person),
    row("POST", "/account/totp", Person),
    row("POST", "/account/totp/confirm", Person),
    again("DELETE", "/account/totp", Person),
    again("POST", "/account/totp/recovery-codes", Person),
    row("GET", "/account/apiKeys", Person),
    again("POST", "/account/apiKeys", Enrolled),
    row("DELETE", "/account/apiKeys/{key}", Person),
    row("POST", "/joinRequests", Enrolled),
    row("DELETE", "/account/groups/{group}", Person),
    // Groups and their people.
    row("GET", "/groups", SignedIn),
    row("POST", "/groups", NewGroup),
    row("GET", "/groups/{group}/members", Group(Read, R::Members)),
    row("PUT", "/groups/{group}/members/{user}", Group(Change, R::Members)),
    row("DELETE", "/groups/{group}/members/{user}", Group(Delete, R::Members)),
    row("GET", "/groups/{group}/invitations", Group(Read, R::Invitations)),
    row("POST", "/groups/{group}/invitations", Group(Create, R::Invitations)),
    row("DELETE", "/groups/{group}/invitations/{invitation}", Group(Delete, R::Invitations)),
    row("GET", "/groups/{group}/joinRequests", Group(Read, R::JoinRequests)),
    row("POST", "/groups/{group}/joinRequests/{request}", Group(Change, R::JoinRequests)),
    row("GET", "/groups/{group}/audit", Group(Read, R::Audit)),
    row("GET", "/groups/{group}/events", Group(Read, R::Events)),
    row("GET", "/groups/{group}/apiKeys", Group(Read, R::ApiKeys)),
    again("POST", "/groups/{group}/apiKeys", Group(Create, R::ApiKeys)),
    row("DELETE", "/groups/{group}/apiKeys/{key}", Group(Delete, R::ApiKeys)),
    // What is backed up.
    row("POST", "/groups/{group}/enrollTokens", Group(Create, R::Agents)),
    row("GET", "/groups/{group}/agents", Group(Read, R::Agents)),
    row("DELETE", "/groups/{group}/agents/{agent}", Group(Delete, R::Agents)),
    row("GET", "/groups/{group}/deployments", Group(Read, R::Deployments)),
    row("POST", "/groups/{group}/deployments", Group(Create, R::Deployments)),
    row("GET", "/groups/{group}/deployments/{deployment}", Group(Read, R::Deployments)),
    again("DELETE", "/groups/{group}/deployments/{deployment}", Group(Delete, R::Deployments)),
    row("POST", "/groups/{group}/deployments/{deployment}/look", Group(Change, R::Deployments)),
    row("GET", "/groups/{group}/backups", Group(Read, R::Backups)),
    row("GET", "/groups/{group}/backups/{rs}", Group(Read, R::Backups)),
    // A shorter retention deletes snapshots.
    again("PATCH", "/groups/{group}/backups/{rs}", Group(Change, R::Backups)),
    row("POST", "/groups/{group}/backups/{rs}/start", Group(Create, R::Backups)),
    row("POST", "/groups/{group}/backups/{rs}/stop", Group(Change, R::Backups)),
    row("POST", "/groups/{group}/backups/{rs}/resync", Group(Change, R::Backups)),
    row("POST", "/groups/{group}/backups/{rs}/move", Group(Change, R::Backups)),
    row("GET", "/groups/{group}/backups/{rs}/termination", Group(Read, R::Backups)),
    again("POST", "/groups/{group}/backups/{rs}/termination", Group(Delete, R::Backups)),
    row("DELETE", "/groups/{group}/backups/{rs}/termination", Group(Change, R::Backups)),
    row("GET", "/groups/{group}/backups/{rs}/timeline", Group(Read, R::Backups)),
    row("GET", "/groups/{group}/backups/{rs}/cut", Group(Read, R::Backups)),
    // Changes nothing: what a change would do.
    row("POST", "/groups/{group}/backups/{rs}/retention/preview", Group(Read, R::Backups)),
    row("GET", "/groups/{group}/overview", Group(Read, R::Backups)),
    row("GET", "/groups/{group}/policies", Group(Read, R::Backups)),
    row("PUT", "/groups/{group}/policies", Group(Change, R::Backups)),
    row("PUT", "/groups/{group}/backups/{rs}/policy", Group(Change, R::Backups)),
    row("GET", "/groups/{group}/backups/{rs}/snapshots", Group(Read, R::Snapshots)),
    row("POST", "/groups/{group}/backups/{rs}/snapshots", Group(Create, R::Snapshots)),
    row("GET", "/groups/{group}/backups/{rs}/snapshots/{snapshot}", Group(Read, R::Snapshots)),
    row("PATCH", "/groups/{group}/backups/{rs}/snapshots/{snapshot}", Group(Change, R::Snapshots)),
    row("POST", "/groups/{group}/backups/{rs}/snapshots/{snapshot}/restoreFromTrash", Group(Change, R::Snapshots)),
    row("GET", "/groups/{group}/backups/{rs}/snapshots/requests/{request}", Group(Read, R::Snapshots)),
    row("POST", "/groups/{group}/backups/{rs}/snapshots/{snapshot}/pin", Group(Change, R::Snapshots)),
    row("POST", "/groups/{group}/backups/{rs}/snapshots/{snapshot}/unpin", Group(Change, R::Snapshots)),
    again("DELETE", "/groups/{group}/backups/{rs}/snapshots/{snapshot}", Group(Delete, R::Snapshots)),
    row("GET", "/groups/{group}/backups/{rs}/restores", Group(Read, R::Restores)),
    again("POST", "/groups/{group}/backups/{rs}/restores", Group(Create, R::Restores)),
    // Changes nothing: what a restore would take.
    row("GET", "/groups/{group}/backups/{rs}/restores/estimate", Group(Read, R::Restores)),
    row("GET", "/groups/{group}/restores", Group(Read, R::Restores)),
    row("GET", "/restores/{restore}", Restore(Read, R::Restores)),
    again("DELETE", "/restores/{restore}/link", Restore(Delete, R::Restores)),
    // Where restores are pushed to: a push gives away what a download would, so it takes the same.
    again("POST", "/restores/{restore}/delivery", Restore(Create, R::Restores)),
    row("DELETE", "/restores/{restore}/delivery", Restore(Create, R::Restores)),
    row("GET", "/groups/{group}/sftp/key", Group(Read, R::Restores)),
    row("POST", "/groups/{group}/sftp/look", Group(Create, R::Restores)),
    row("GET", "/groups/{group}/sftp/targets", Group(Read, R::Restores)),
    again("POST", "/groups/{group}/sftp/targets", Group(Create, R::Restores)),
    row("DELETE", "/groups/{group}/sftp/targets/{target}", Group(Create, R::Restores)),
    row("POST", "/groups/{group}/sftp/targets/{target}/test", Group(Create, R::Restores)),
    // What is monitored.
    row("GET", "/metrics", SignedIn),
    row("GET", "/groups/{group}/hosts", Group(Read, R::Deployments)),
    row("GET", "/groups/{group}/hosts/{host}", Group(Read, R::Deployments)),
    row("GET", "/groups/{group}/hosts/{host}/facts", Group(Read, R::Deployments)),
    row("GET", "/groups/{group}/hosts/{host}/measurements", Group(Read, R::Deployments)),
    row("GET", "/groups/{group}/hosts/{host}/pings", Group(Read, R::Deployments)),
    row("GET", "/groups/{group}/hostEvents", Group(Read, R::Deployments)),
    row("GET", "/groups/{group}/metrics", Group(Read, R::Deployments)),
    // The blockstore.
    row("GET", "/blockstore", Global(Read, R::Blockstore)),
    row("POST", "/blockstore/whatIf", Global(Read, R::Blockstore)),
    row("GET", "/blockstore/history", Global(Read, R::Blockstore)),
    row("GET", "/blockstore/report", Global(Read, R::Blockstore)),
    row("GET", "/blockstore/requests", Global(Read, R::Blockstore)),
    row("POST", "/blockstore/requests", Global(Create, R::Blockstore)),
    row("GET", "/blockstore/requests/{request}", Global(Read, R::Blockstore)),
    row("DELETE", "/blockstore/requests/{request}", Global(Delete, R::Blockstore)),
    row("GET", "/blockstore/stores", Global(Read, R::Blockstore)),
    again("POST", "/blockstore/stores", Global(Delete, R::Blockstore)),
    again("PATCH", "/blockstore/stores/{number}", Global(Delete, R::Blockstore)),
    again("POST", "/groups/{group}/key/export", Group(Read, R::GroupKeys)),
    // Snapshots that another Holdfast pulls: of the groups in which the caller may restore.
    row("GET", "/offsite/snapshots", SignedIn),
    row("POST", "/offsite/snapshots/{snapshot}/hold", SignedIn),
    row("DELETE", "/offsite/snapshots/{snapshot}/hold", SignedIn),
    row("GET", "/offsite/snapshots/{snapshot}/root", SignedIn),
    row("POST", "/offsite/snapshots/{snapshot}/blocks", SignedIn),
    // Offsite copies that this appliance makes.
    row("GET", "/offsite/copies", Global(Read, R::OffsiteCopies)),
    again("POST", "/offsite/copies", Global(Create, R::OffsiteCopies)),
    row("GET", "/offsite/copies/{copy}", Global(Read, R::OffsiteCopies)),
    again("DELETE", "/offsite/copies/{copy}", Global(Delete, R::OffsiteCopies)),
    row("POST", "/offsite/copies/{copy}/run", Global(Change, R::OffsiteCopies)),
    row("GET", "/offsite/copies/{copy}/snapshots", Global(Read, R::OffsiteCopies)),
    again("POST", "/offsite/copies/{copy}/restores", Global(Create, R::Restores)),
    // The appliance.
    row("GET", "/apiKeys", Global(Read, R::ApiKeys)),
    again("POST", "/apiKeys", Global(Create, R::ApiKeys)),
    row("DELETE", "/apiKeys/{key}", Global(Delete, R::ApiKeys)),
    row("GET", "/events", Global(Read, R::Events)),
    row("GET", "/daemons", Global(Read, R::Daemons)),
    again("PATCH", "/daemons/{daemon}", Global(Change, R::Daemons)),
    row("GET", "/jobs", Global(Read, R::Daemons)),
    row("GET", "/logs", Global(Read, R::Logs)),
    row("GET", "/diagnostics", Global(Read, R::Logs)),
    row("GET", "/users", Global(Read, R::Users)),
    row("POST", "/users", Global(Create, R::Users)),
    row("GET", "/users/{user}", Global(Read, R::Users)),
    again("PUT", "/users/{user}", Global(Change, R::Users)),
    row("GET", "/audit", Global(Read, R::Audit)),
    row("GET", "/settings/access", Global(Read, R::Settings)),
    again("PUT", "/settings/access", Global(Change, R::Settings)),
    row("GET", "/settings/publicUrl", Global(Read, R::Settings)),
    again("PUT", "/settings/publicUrl", Global(Change, R::Settings)),
    row("GET", "/settings/backupDefaults", Global(Read, R::Settings)),
    again("PUT", "/settings/backupDefaults", Global(Change, R::Settings)),
    row("GET", "/settings/tls", Global(Read, R::Settings)),
    again("PUT", "/settings/tls", Global(Change, R::Settings)),
    again("DELETE", "/settings/tls", Global(Change, R::Settings)),
    row("GET", "/settings/monitoring", Global(Read, R::Settings)),
    again("PUT", "/settings/monitoring", Global(Change, R::Settings)),
    row("GET", "/settings/mail", Global(Read, R::Settings)),
    again("PUT", "/settings/mail", Global(Change, R::Settings)),
    row("POST", "/settings/mail/test", Global(Change, R::Settings)),
    row("GET", "/settings/oidc", Global(Read, R::Settings)),
    again("PUT", "/settings/oidc", Global(Change, R::Settings)),
    row("POST", "/settings/oidc/test", Global(Change, R::Settings)),
    row("GET", "/settings/ldap", Global(Read, R::Settings)),
    again("PUT", "/settings/ldap", Global(Change, R::Settings)),
    row("POST", "/settings/ldap/test", Global(Change, R::Settings)),
];

/// What a route takes. Err(true): the path is there, for other methods; Err(false): it is not there.
pub(crate) fn find(method: &Method, path: &str) -> Result<&'static Row, bool> {
    // Whoever may GET may HEAD: the router answers both by one handler.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    let mut there = false;
    for row in ROWS.iter().filter(|row| row.path == path) {
        if row.method == method {
            return Ok(row);
        }
        there = true;
    }
    Err(there)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    fn served() -> BTreeSet<(String, String)> {
        let api = serde_json::to_value(crate::openapi()).unwrap();
        let paths = api["paths"].as_object().unwrap().clone();
        let of = |(path, item): (String, serde_json::Value)| {
            let methods = item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect::<Vec<_>>();
            methods.into_iter().map(move |method| (method, path.clone()))
        };
        paths.into_iter().flat_map(of).collect()
    }

    #[test]
    fn every_route_has_one_row_and_every_row_a_route() {
        let rows: Vec<(String, String)> = ROWS.iter().map(|r| (r.method.to_owned(), r.path.to_owned())).collect();
        let set: BTreeSet<_> = rows.iter().cloned().collect();
        assert_eq!(rows.len(), set.len(), "a route has two rows");
        let served = served();
        assert_eq!(
            served.difference(&set).collect::<Vec<_>>(),
            Vec::<&(String, String)>::new(),
            "routes without a row"
        );
        assert_eq!(
            set.difference(&served).collect::<Vec<_>>(),
            Vec::<&(String, String)>::new(),
            "rows without a route"
        );
    }

    #[test]
    fn every_row_names_a_permission_that_someone_has() {
        for row in ROWS {
            if let Group(action, resource) | Global(action, resource) | Restore(action, resource) = row.need {
                assert!(holdfast_domain::may(&[holdfast_domain::Role::Owner], action, resource), "{row:?}");
            }
            assert_eq!(matches!(row.need, Group(..)), row.path.starts_with("/groups/{group}/"), "{row:?}");
        }
    }

    #[test]
    fn a_path_of_other_methods_is_told_from_none() {
        assert!(find(&Method::HEAD, "/groups").is_ok());
        assert_eq!(find(&Method::DELETE, "/groups").err(), Some(true));
        assert_eq!(find(&Method::GET, "/nothing").err(), Some(false));
    }
}
