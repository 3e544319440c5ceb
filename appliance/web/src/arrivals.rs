//! People who proved elsewhere who they are, by a provider or a directory: which account is theirs, and which roles they bring.
//!
//! Invariants: a person is known by the subject there, never by the address alone; an account that is here already is taken over only when the
//! address is verified there, the settings allow it, and the account has no role over the appliance: whoever keeps its keys must get in when the
//! other side is away, and nobody there makes themselves one of them. Of an address that is not verified nothing is said, not even whether it
//! has an account here. A shut account stays shut. Groups that a mapping names are kept by the other side, at every sign-in; the last owner of
//! a group stays one.

use std::net::IpAddr;

use bson::doc;
use holdfast_metadb::{Arrivals, AuditEntry, MetaError, OneTimeKind, Role, SignUp, User, normal_email};

use crate::{
    caller::{fault, find_group, forbidden, meta_fault},
    problem::ApiError,
    state::WebState,
};

/// Someone as the other side describes them.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// `oidc` or `ldap`.
    pub(crate) origin: &'static str,
    /// Who it is there, for ever.
    pub(crate) subject: String,
    /// E-mail address; empty: none is known.
    pub(crate) email: String,
    /// The other side has made sure that the address is the person's.
    pub(crate) email_verified: bool,
    /// Name; empty: the address stands for it.
    pub(crate) name: String,
    /// Groups there.
    pub(crate) groups: Vec<String>,
    /// Where the request comes from.
    pub(crate) address: IpAddr,
}

impl Arrival {
    fn entry(&self, user: &User, action: &str) -> AuditEntry {
        AuditEntry {
            who: user.email.clone(),
            kind: "user".into(),
            address: self.address.to_string(),
            action: action.to_owned(),
            target: user.email.clone(),
            detail: format!("{}: {}", self.origin, self.subject),
            ..AuditEntry::default()
        }
    }

    /// The group there that a line of the mapping names.
    fn is_in(&self, theirs: &str) -> bool {
        match self.origin {
            "ldap" => self.groups.iter().any(|group| normal_dn(group) == normal_dn(theirs)),
            _ => self.groups.iter().any(|group| group == theirs),
        }
    }
}

/// A distinguished name for comparing: lower case, nothing around commas and signs of equality. What is escaped by `\` is part of a value.
pub(crate) fn normal_dn(dn: &str) -> String {
    let mut normal = String::with_capacity(dn.len());
    let mut chars = dn.chars().peekable();
    // Where the last character stands that spaces behind it may be dropped after: a space that is escaped stays.
    let mut kept = 0;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                normal.push(c);
                normal.extend(chars.next());
                kept = normal.len();
            }
            ',' | '=' => {
                normal.truncate(kept);
                normal.push(c);
                kept = normal.len();
                while chars.next_if(|next| *next == ' ').is_some() {}
            }
            ' ' => normal.push(c),
            c => {
                normal.push(c);
                kept = normal.len();
            }
        }
    }
    normal.truncate(kept);
    normal.trim_start().to_lowercase()
}

/// True when people of this address get an account at their first sign-in.
fn may_join(rules: &Arrivals, sign_up: SignUp, email: &str) -> bool {
    let domain = email.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
    match sign_up {
        SignUp::Closed => false,
        _ if !rules.domains.is_empty() => rules.domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain)),
        SignUp::Open => true,
        SignUp::Invitation => false,
    }
}

/// The account of someone who has just proved who they are elsewhere, with the roles that they bring.
pub(crate) async fn admit(state: &WebState, rules: &Arrivals, arrival: &Arrival) -> Result<User, ApiError> {
    let known = state.metadb().user_by_subject(arrival.origin, &arrival.subject).await.map_err(fault)?;
    let user = match known {
        Some(user) => user,
        None => first_time(state, rules, arrival).await?,
    };
    if user.disabled.is_some() {
        state.note(arrival.entry(&user, "sign-in refused")).await;
        return Err(shut());
    }
    keep_groups(state, rules, arrival, &user).await?;
    Ok(user)
}

/// What is said to someone whose account is shut.
pub(crate) fn shut() -> ApiError {
    forbidden("your account here is shut: an administrator of this appliance can open it again")
}

async fn first_time(state: &WebState, rules: &Arrivals, arrival: &Arrival) -> Result<User, ApiError> {
    if arrival.email.is_empty() {
        let detail = "the sign-in says no e-mail address of yours, and an account needs one: ask your administrator to \
                      release it (scope `email`, or the attribute of the directory)";
        return Err(ApiError::refused("emailMissing", detail));
    }
    let email = normal_email(&arrival.email);
    if !arrival.email_verified {
        let detail = format!(
            "your e-mail address {email} is not verified where you signed in: verify it there, then sign in again"
        );
        return Err(ApiError::refused("emailNotVerified", detail));
    }
    if let Some(user) = state.metadb().user_by_email(&email).await.map_err(fault)? {
        return link(state, rules, arrival, user).await;
    }
    let policy = state.access_policy().await?;
    let invited = policy.sign_up == SignUp::Invitation && state.metadb().is_invited(&email).await.map_err(fault)?;
    if !invited && !may_join(rules, policy.sign_up, &email) {
        let detail = format!(
            "you are signed in there, and {email} has no account here: ask an administrator of this appliance for one, or to \
             let people of your domain in"
        );
        return Err(ApiError::refused("signUpClosed", detail));
    }
    let name: String = arrival.name.chars().filter(|c| !c.is_control()).take(100).collect();
    let name = if name.trim().is_empty() { email.chars().take(100).collect() } else { name };
    let mut user = User::new(&email, &name, None, Vec::new());
    arrival.origin.clone_into(&mut user.origin);
    user.subject = Some(arrival.subject.clone());
    match state.metadb().create_user(&user).await {
        Ok(()) => {}
        // The same person in two windows.
        Err(MetaError::Exists { .. }) => {
            let made = state.metadb().user_by_subject(arrival.origin, &arrival.subject).await.map_err(fault)?;
            return made.ok_or_else(|| taken(&email));
        }
        Err(error) => return Err(meta_fault(error)),
    }
    state.note(arrival.entry(&user, "account made at first sign-in")).await;
    Ok(user)
}

fn taken(email: &str) -> ApiError {
    let detail = format!(
        "{email} has an account here that signs in another way: sign in that way, or ask an administrator to let verified \
         addresses take over their accounts (those of people with a role over the appliance are never taken over)"
    );
    ApiError::conflict("accountExists", detail)
}

/// Lets the person have the account of their address, where that is allowed.
async fn link(state: &WebState, rules: &Arrivals, arrival: &Arrival, user: User) -> Result<User, ApiError> {
    let allowed = rules.link_by_email
        && arrival.email_verified
        && user.origin == "local"
        && user.subject.is_none()
        && user.global_roles.is_empty();
    if !allowed || user.disabled.is_some() {
        return Err(taken(&user.email));
    }
    if !state.metadb().link_user(&user.id, arrival.origin, &arrival.subject).await.map_err(meta_fault)? {
        return Err(taken(&user.email));
    }
    // Whoever had the password, or a link for a new one, or made keys with it, is out.
    for kind in [OneTimeKind::PasswordReset, OneTimeKind::EmailChange] {
        state.metadb().void_one_time(kind, &user.id).await.map_err(fault)?;
    }
    state.metadb().end_sessions(&user.id, None).await.map_err(fault)?;
    let revoked = state.metadb().revoke_api_keys_of(&user.id).await.map_err(fault)?;
    let entry = arrival.entry(&user, "account linked");
    let detail = format!("{}; own API keys revoked: {revoked}", entry.detail);
    state.note(AuditEntry { detail, ..entry }).await;
    let linked = state.metadb().user(&user.id).await.map_err(fault)?;
    linked.ok_or_else(|| ApiError::not_found("the account was just removed"))
}

/// Sets the roles in every group that the mapping names.
async fn keep_groups(state: &WebState, rules: &Arrivals, arrival: &Arrival, user: &User) -> Result<(), ApiError> {
    let mut wanted: Vec<(holdfast_metadb::Group, Vec<Role>)> = Vec::new();
    for line in &rules.mapping {
        let Some(group) = find_group(state, &line.group).await? else {
            tracing::warn!(group = line.group, "the mapping of sign-ins names a group that is not there");
            continue;
        };
        let brought = if arrival.is_in(&line.theirs) { line.roles.as_slice() } else { &[] };
        match wanted.iter_mut().find(|(known, _)| known.id == group.id) {
            Some((_, roles)) => roles.extend_from_slice(brought),
            None => wanted.push((group, brought.to_vec())),
        }
    }
    for (group, mut roles) in wanted {
        roles.sort_unstable();
        roles.dedup();
        let now = state.metadb().member(&group.id, &user.id).await.map_err(fault)?;
        let now = now.map(|member| member.roles).unwrap_or_default();
        if now == roles {
            continue;
        }
        match state.metadb().put_member(&group.id, &user.id, &roles).await {
            Ok(()) => {
                let words = |roles: &[Role]| doc! { "roles": roles.iter().map(|r| r.as_str()).collect::<Vec<_>>() };
                let entry = AuditEntry {
                    group: Some(group.id),
                    before: Some(words(&now)),
                    after: Some(words(&roles)),
                    ..arrival.entry(user, "roles set by sign-in")
                };
                state.note(entry).await;
            }
            Err(MetaError::LastOwner) => {
                tracing::warn!(
                    group = group.name,
                    "the last owner of a group keeps the role that a sign-in would take"
                );
            }
            Err(error) => return Err(meta_fault(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_an_account() {
        let open = Arrivals::default();
        let listed = Arrivals { domains: vec!["example.org".into()], ..Arrivals::default() };
        for (rules, sign_up, email, expected) in [
            (&open, SignUp::Open, "a@example.org", true),
            (&open, SignUp::Invitation, "a@example.org", false),
            (&open, SignUp::Closed, "a@example.org", false),
            (&listed, SignUp::Invitation, "a@Example.org", true),
            (&listed, SignUp::Invitation, "a@sub.example.org", false),
            (&listed, SignUp::Invitation, "a@evil-example.org", false),
            (&listed, SignUp::Open, "a@other.org", false),
            (&listed, SignUp::Closed, "a@example.org", false),
        ] {
            assert_eq!(may_join(rules, sign_up, email), expected, "{sign_up:?} {email} {rules:?}");
        }
    }

    #[test]
    fn distinguished_names_are_compared_as_names() {
        assert_eq!(normal_dn("CN=Ops, OU=Groups,DC=example"), normal_dn("cn=ops,ou = groups,dc=Example"));
        assert_ne!(normal_dn("cn=ops,dc=example"), normal_dn("cn=ops,ou=x,dc=example"));
        // What is escaped is part of a value: these are two people.
        assert_eq!(normal_dn(r"cn=Gauß\, Carl , dc=example"), r"cn=gauß\, carl,dc=example");
        assert_ne!(normal_dn(r"cn=a\, b,dc=x"), normal_dn(r"cn=a\,b,dc=x"));
        assert_ne!(normal_dn(r"cn=a\ ,dc=x"), normal_dn("cn=a,dc=x"));
        assert_ne!(normal_dn(r"cn=a\=b"), normal_dn("cn=a=b"));
    }
}
