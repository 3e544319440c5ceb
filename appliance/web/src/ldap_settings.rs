//! The directory of sign-ins: its settings and their test.

use axum::{Json, extract::State};
use bson::doc;
use holdfast_metadb::{Arrivals, LdapSecurity, LdapSettings, sealed_binary};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::JsonOf,
    ldap::{self, Directory},
    problem::{ApiError, Problem},
    sign_in_settings::{ArrivalRules, check_text, checked_ca, facts, local},
    state::WebState,
};

/// How the talk with the directory is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum LdapSecurityName {
    /// TLS from the first byte (636).
    Tls,
    /// StartTLS, required (389).
    StartTls,
    /// None: for a directory on this machine.
    None,
}

impl From<LdapSecurity> for LdapSecurityName {
    fn from(security: LdapSecurity) -> Self {
        match security {
            LdapSecurity::Tls => Self::Tls,
            LdapSecurity::StartTls => Self::StartTls,
            LdapSecurity::None => Self::None,
        }
    }
}

impl From<LdapSecurityName> for LdapSecurity {
    fn from(security: LdapSecurityName) -> Self {
        match security {
            LdapSecurityName::Tls => Self::Tls,
            LdapSecurityName::StartTls => Self::StartTls,
            LdapSecurityName::None => Self::None,
        }
    }
}

/// The directory. An empty `host`: none is set.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LdapView {
    /// Host name.
    host: String,
    /// Port.
    port: u16,
    /// How the talk is kept secret.
    security: LdapSecurityName,
    /// Certificates of CAs of one's own, PEM; null: those of the machine.
    ca: Option<String>,
    /// Distinguished name of the service account; empty: anonymous.
    bind_dn: String,
    /// There is a password (it is never shown).
    password_set: bool,
    /// Where people are searched.
    user_base: String,
    /// Finds one person; `{user}` is what was typed.
    user_filter: String,
    /// Attribute that never changes and names the person; empty: the distinguished name.
    id_attribute: String,
    /// Attribute with the e-mail address.
    email_attribute: String,
    /// Attribute with the name.
    name_attribute: String,
    /// Where groups are searched; empty: only the person's `memberOf` counts.
    group_base: String,
    /// Finds the person's groups; `{dn}` is the person's distinguished name.
    group_filter: String,
    /// Who gets in.
    arrivals: ArrivalRules,
}

/// The directory to use.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SetLdap {
    /// Host name; empty: no directory.
    host: String,
    /// Port.
    port: u16,
    /// How the talk is kept secret.
    security: LdapSecurityName,
    /// Certificates of CAs of one's own, PEM.
    ca: Option<String>,
    /// Distinguished name of the service account; empty: anonymous.
    bind_dn: String,
    /// Its password; left out: the one that is stored stays.
    password: Option<String>,
    /// Where people are searched.
    user_base: String,
    /// Finds one person; `{user}` is what was typed.
    user_filter: String,
    /// Attribute that never changes and names the person; empty: the distinguished name.
    id_attribute: String,
    /// Attribute with the e-mail address.
    email_attribute: String,
    /// Attribute with the name.
    name_attribute: String,
    /// Where groups are searched; empty: only the person's `memberOf` counts.
    group_base: String,
    /// Finds the person's groups; `{dn}` is the person's distinguished name.
    group_filter: String,
    /// Who gets in.
    arrivals: ArrivalRules,
}

/// What to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestLdap {
    /// Someone to search for, as they would type it; null: nobody.
    user: Option<String>,
}

/// Someone of the directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LdapPerson {
    /// Distinguished name.
    dn: String,
    /// E-mail address; empty: no sign-in before there is one.
    email: String,
    /// Name.
    name: String,
    /// Distinguished names of groups.
    groups: Vec<String>,
}

/// What the directory said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LdapTested {
    /// A sentence to show.
    detail: String,
    /// The person who was searched for.
    person: Option<LdapPerson>,
}

/// What is filled in before a directory is set: attributes of OpenLDAP and of most others.
fn fresh() -> LdapSettings {
    LdapSettings {
        port: 636,
        user_filter: "(|(uid={user})(mail={user}))".into(),
        id_attribute: "entryUUID".into(),
        email_attribute: "mail".into(),
        name_attribute: "cn".into(),
        group_filter: "(member={dn})".into(),
        arrivals: Arrivals::default(),
        ..LdapSettings::default()
    }
}

fn view(set: &LdapSettings) -> LdapView {
    LdapView {
        host: set.host.clone(),
        port: u16::try_from(set.port).unwrap_or_default(),
        security: set.security.into(),
        ca: set.ca.clone(),
        bind_dn: set.bind_dn.clone(),
        password_set: set.password_sealed.is_some(),
        user_base: set.user_base.clone(),
        user_filter: set.user_filter.clone(),
        id_attribute: set.id_attribute.clone(),
        email_attribute: set.email_attribute.clone(),
        name_attribute: set.name_attribute.clone(),
        group_base: set.group_base.clone(),
        group_filter: set.group_filter.clone(),
        arrivals: (&set.arrivals).into(),
    }
}

/// The directory of sign-ins.
#[utoipa::path(get, path = "/settings/ldap", tag = "settings",
    responses((status = 200, body = LdapView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_ldap(State(state): State<WebState>) -> Result<Json<LdapView>, ApiError> {
    let set = state.metadb().ldap_settings().await.map_err(fault)?;
    Ok(Json(view(&set.unwrap_or_else(fresh))))
}

/// Refuses what no directory could be asked.
fn check(set: &SetLdap) -> Result<(), ApiError> {
    let texts = [
        ("the host", &set.host),
        ("bindDn", &set.bind_dn),
        ("userBase", &set.user_base),
        ("userFilter", &set.user_filter),
        ("groupBase", &set.group_base),
        ("groupFilter", &set.group_filter),
        ("idAttribute", &set.id_attribute),
        ("emailAttribute", &set.email_attribute),
        ("nameAttribute", &set.name_attribute),
    ];
    for (what, text) in texts {
        check_text(text, what)?;
    }
    if set.host.is_empty() {
        return Ok(());
    }
    if !set.host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c)) || set.port == 0 {
        return Err(ApiError::bad_request(
            "the host is no host name, or the port is 0: `ldap.example.org` is expected",
        ));
    }
    for (what, text, optional) in [
        ("idAttribute", &set.id_attribute, true),
        ("emailAttribute", &set.email_attribute, false),
        ("nameAttribute", &set.name_attribute, false),
    ] {
        let good = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == ';');
        if !good || (text.is_empty() && !optional) {
            return Err(ApiError::bad_request(format!(
                "{what}: the name of one attribute is expected, such as `mail`"
            )));
        }
    }
    let parses = |filter: &str| ldap3::parse_filter(filter.replace("{user}", "x").replace("{dn}", "x")).is_ok();
    if set.user_base.is_empty() || !set.user_filter.contains("{user}") || !parses(&set.user_filter) {
        let detail = "userBase and userFilter say where and how a person is found: a filter with {user} in it is expected, such as \
                      `(uid={user})`";
        return Err(ApiError::bad_request(detail));
    }
    if !set.group_base.is_empty() && (!set.group_filter.contains("{dn}") || !parses(&set.group_filter)) {
        return Err(ApiError::bad_request(
            "groupFilter: a filter with {dn} in it is expected, such as `(member={dn})`",
        ));
    }
    if set.security == LdapSecurityName::None && !local(&set.host) {
        let detail = "passwords would go over the network in the clear: use tls or startTls";
        return Err(ApiError::refused("ldapInTheClear", detail));
    }
    Ok(())
}

/// Sets the directory of sign-ins.
#[utoipa::path(put, path = "/settings/ldap", tag = "settings", request_body = SetLdap,
    responses((status = 200, body = LdapView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_ldap(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(mut set): JsonOf<SetLdap>,
) -> Result<Json<LdapView>, ApiError> {
    set.host = set.host.trim().to_owned();
    check(&set)?;
    let old = state.metadb().ldap_settings().await.map_err(fault)?;
    // Sending a stored password to another server, or without the secrecy that it had, would give it away.
    let same = old.as_ref().is_some_and(|old| {
        (old.host.as_str(), old.port, old.security)
            == (set.host.as_str(), i32::from(set.port), LdapSecurity::from(set.security))
    });
    let password_sealed = match (set.password, old.as_ref()) {
        (Some(password), _) if password.is_empty() => None,
        (Some(password), _) => Some(sealed_binary(state.seal_setting(ldap::NAME, &password)?)),
        (None, Some(old)) if same => old.password_sealed.clone(),
        (None, _) => None,
    };
    if !set.host.is_empty() && !set.bind_dn.is_empty() && password_sealed.is_none() {
        let detail =
            "the service account needs its password: send it (one that was stored for another host is not kept)";
        return Err(ApiError::bad_request(detail));
    }
    let new = LdapSettings {
        host: set.host,
        port: i32::from(set.port),
        security: set.security.into(),
        ca: checked_ca(set.ca)?,
        bind_dn: set.bind_dn,
        password_sealed,
        user_base: set.user_base,
        user_filter: set.user_filter,
        id_attribute: set.id_attribute,
        email_attribute: set.email_attribute,
        name_attribute: set.name_attribute,
        group_base: set.group_base,
        group_filter: set.group_filter,
        arrivals: set.arrivals.checked(&state).await?,
    };
    state.metadb().put_ldap_settings(&new).await.map_err(fault)?;
    let words = |set: &LdapSettings| {
        doc! {
            "host": &set.host, "port": set.port, "bindDn": &set.bind_dn, "userBase": &set.user_base,
            "userFilter": &set.user_filter, "arrivals": facts(&set.arrivals),
        }
    };
    let (before, after) = (old.as_ref().map(words), Some(words(&new)));
    state.audit_change(&caller, None, "directory of sign-ins changed", "settings/ldap", before, after).await;
    Ok(Json(view(&new)))
}

/// Tries the stored settings now and says what the directory said. No password of a person is needed.
#[utoipa::path(post, path = "/settings/ldap/test", tag = "settings", request_body = TestLdap,
    responses((status = 200, body = LdapTested), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test_ldap(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(test): JsonOf<TestLdap>,
) -> Result<Json<LdapTested>, ApiError> {
    let directory = Directory::of(&state).await?;
    let directory =
        directory.ok_or_else(|| ApiError::refused("ldapNotSet", "no directory is set: save its settings first"))?;
    let user = test.user.filter(|user| !user.trim().is_empty());
    let found = ldap::attempt(&directory, user.as_deref()).await;
    let found = found.map_err(|why| ApiError::refused("ldapFailed", format!("the directory did not help: {why}")))?;
    state.audit(&caller, None, "directory of sign-ins tested", user.as_deref().unwrap_or("settings/ldap")).await;
    let detail = match &found {
        Some(found) if found.email.is_empty() => {
            format!("{} was found, without an e-mail address: nobody signs in without one", found.dn)
        }
        Some(found) => format!("{} was found", found.dn),
        None => "the directory lets the service account in, and the base is there".into(),
    };
    let person =
        found.map(|found| LdapPerson { dn: found.dn, email: found.email, name: found.name, groups: found.groups });
    Ok(Json(LdapTested { detail, person }))
}
