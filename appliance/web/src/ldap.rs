//! Sign-in by an LDAP directory: search by the service account, then a bind as the person who was found.
//!
//! Invariants: what was typed goes into filters escaped; an empty password never reaches the directory, which would take it for an anonymous
//! bind; certificates are always checked; a password goes over the network in the clear only to this machine, and to the directory only where
//! it knows the name: what was typed for nobody of it may be a password of somewhere else. Someone who is not found is answered like someone
//! with a wrong password, after as many steps. Referrals to other servers are not followed.

use std::{net::IpAddr, sync::Arc, time::Duration};

use holdfast_metadb::{LdapSecurity, LdapSettings, SecondFactor, SecretKind, User, new_secret};
use holdfast_service::client_config;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, ldap_escape};

use crate::{
    arrivals::{self, Arrival, normal_dn},
    caller::fault,
    limits,
    problem::ApiError,
    state::WebState,
};

/// Name of the setting that the service account's password is sealed for.
pub(crate) const NAME: &str = "ldap";
/// Longest wait for one answer of the directory.
const STEP_MAX: Duration = Duration::from_secs(10);
/// Longest talk about one sign-in.
const TALK_MAX: Duration = Duration::from_secs(30);
/// Groups of one person that are looked at.
const GROUPS_MAX: usize = 1000;
/// Longest name and password that are sent on, in characters.
const TYPED_CHARS_MAX: usize = 256;
/// Marks a subject that is no text: the hex of its bytes follows.
const HEX: &str = "hex:";

/// Someone of the directory.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Distinguished name.
    pub(crate) dn: String,
    /// What never changes.
    pub(crate) subject: String,
    /// E-mail address.
    pub(crate) email: String,
    /// Name.
    pub(crate) name: String,
    /// Distinguished names of groups.
    pub(crate) groups: Vec<String>,
}

/// Why the directory did not help.
#[derive(Debug)]
pub(crate) enum Away {
    /// A sentence.
    Why(String),
}

impl From<LdapError> for Away {
    fn from(error: LdapError) -> Self {
        Self::Why(words(&error))
    }
}

impl From<Away> for String {
    fn from(Away::Why(why): Away) -> Self {
        why
    }
}

fn words(error: &LdapError) -> String {
    if let LdapError::LdapResult { result } = error {
        let meaning = match result.rc {
            32 => "there is no such entry",
            34 => "a distinguished name is not one",
            49 => "the name or the password of the service account is wrong",
            50 => "the service account may not do this",
            13 => "the directory asks for TLS",
            _ => "the directory refused",
        };
        return format!(
            "{meaning} (LDAP {}{}{})",
            result.rc,
            if result.text.is_empty() { "" } else { ": " },
            result.text
        );
    }
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let line = source.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        next = source.source();
    }
    text
}

/// Opens the connection, with TLS as it is set.
async fn connect(set: &LdapSettings) -> Result<Ldap, Away> {
    let mut settings = LdapConnSettings::new().set_conn_timeout(STEP_MAX);
    if let Some(pem) = &set.ca {
        let config = client_config(pem).map_err(|error| Away::Why(format!("the CA certificate: {error}")))?;
        settings = settings.set_config(Arc::new(config));
    }
    settings = settings.set_starttls(set.security == LdapSecurity::StartTls);
    let scheme = if set.security == LdapSecurity::Tls { "ldaps" } else { "ldap" };
    let url = format!("{scheme}://{}:{}", set.host, set.port);
    let (connection, ldap) = LdapConnAsync::with_settings(settings, &url).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.drive().await {
            tracing::debug!(%error, "the talk with the directory ended");
        }
    });
    Ok(ldap)
}

/// A directory and the service account's password.
pub(crate) struct Directory {
    set: LdapSettings,
    password: String,
}

impl Directory {
    /// The directory that is set. None: there is none.
    pub(crate) async fn of(state: &WebState) -> Result<Option<Self>, ApiError> {
        let Some(set) = state.metadb().ldap_settings().await.map_err(fault)? else { return Ok(None) };
        let password = match &set.password_sealed {
            Some(sealed) => state.open_setting(NAME, &sealed.bytes)?,
            None => String::new(),
        };
        Ok(Some(Self { set, password }))
    }

    async fn bind_service(&self, ldap: &mut Ldap) -> Result<(), Away> {
        let bound = ldap.with_timeout(STEP_MAX).simple_bind(&self.set.bind_dn, &self.password).await?;
        bound.success()?;
        Ok(())
    }

    /// Opens a connection as the service account.
    async fn open(&self) -> Result<Ldap, Away> {
        let mut ldap = connect(&self.set).await?;
        self.bind_service(&mut ldap).await?;
        Ok(ldap)
    }

    async fn find(&self, ldap: &mut Ldap, filter: &str) -> Result<Option<Found>, Away> {
        let set = &self.set;
        let mut attributes = vec!["memberOf", set.email_attribute.as_str(), set.name_attribute.as_str()];
        if !set.id_attribute.is_empty() {
            attributes.push(&set.id_attribute);
        }
        let options = SearchOptions::new().sizelimit(2).timelimit(10);
        let search = ldap.with_search_options(options).with_timeout(STEP_MAX);
        let (entries, end) = match search.search(&set.user_base, Scope::Subtree, filter, attributes).await {
            Ok(found) => (found.0, found.1),
            Err(error) => return Err(error.into()),
        };
        // 4: there are more than were asked for, or than the directory gives: nobody is meant alone.
        if end.rc == 4 {
            return Ok(None);
        }
        if end.rc != 0 {
            return Err(LdapError::LdapResult { result: end }.into());
        }
        let mut people =
            entries.into_iter().filter(|e| !e.is_ref() && !e.is_intermediate()).map(SearchEntry::construct);
        let (Some(entry), None) = (people.next(), people.next()) else { return Ok(None) };
        Ok(self.read(&entry))
    }

    fn read(&self, entry: &SearchEntry) -> Option<Found> {
        let all = |name: &str| {
            let found = entry.attrs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, values)| values.clone()).unwrap_or_default()
        };
        let one = |name: &str| all(name).into_iter().next().unwrap_or_default();
        let id = &self.set.id_attribute;
        let subject = if id.is_empty() {
            normal_dn(&entry.dn)
        } else {
            let raw = entry.bin_attrs.iter().find(|(key, _)| key.eq_ignore_ascii_case(id));
            match raw.and_then(|(_, values)| values.first()) {
                Some(bytes) => format!("{HEX}{}", hex::encode(bytes)),
                None => one(id),
            }
        };
        // Without a distinguished name it would be an anonymous bind.
        if entry.dn.is_empty() {
            return None;
        }
        if subject.is_empty() {
            tracing::warn!(
                attribute = id,
                "someone of the directory lacks the attribute that names people: no sign-in"
            );
            return None;
        }
        Some(Found {
            dn: entry.dn.clone(),
            subject,
            email: one(&self.set.email_attribute),
            name: one(&self.set.name_attribute),
            groups: all("memberOf"),
        })
    }

    async fn find_typed(&self, ldap: &mut Ldap, typed: &str) -> Result<Option<Found>, Away> {
        self.find(ldap, &self.set.user_filter.replace("{user}", &ldap_escape(typed.trim()))).await
    }

    async fn find_subject(&self, ldap: &mut Ldap, subject: &str) -> Result<Option<Found>, Away> {
        let id = &self.set.id_attribute;
        if id.is_empty() {
            // Only the name is needed, and the subject is it.
            let dn = subject.to_owned();
            let (subject, none) = (dn.clone(), String::new());
            let found = Found { dn, subject, email: none.clone(), name: none, groups: Vec::new() };
            return Ok(Some(found).filter(|found| !found.dn.is_empty()));
        }
        let value = match subject.strip_prefix(HEX) {
            Some(digits) => {
                let pairs = digits.as_bytes().chunks(2).map(|pair| format!("\\{}", String::from_utf8_lossy(pair)));
                pairs.collect::<String>()
            }
            None => ldap_escape(subject).into_owned(),
        };
        self.find(ldap, &format!("({id}={value})")).await
    }

    /// True when the password is that of the person. Of nobody it never is, after the same steps.
    async fn is_password(&self, ldap: &mut Ldap, found: Option<&Found>, password: &str) -> Result<bool, Away> {
        if password.is_empty() {
            return Ok(false);
        }
        let nobody = (format!("cn=nobody-of-holdfast,{}", self.set.user_base), new_secret(SecretKind::OneTime));
        let (dn, password) = found.map_or((nobody.0.as_str(), nobody.1.as_str()), |found| (&found.dn, password));
        let bound = ldap.with_timeout(STEP_MAX).simple_bind(dn, password).await?;
        if bound.rc != 0 && bound.rc != 49 && found.is_some() {
            tracing::warn!(code = bound.rc, text = bound.text, "the directory refused a bind");
        }
        Ok(bound.rc == 0 && found.is_some())
    }

    /// The groups of someone, by search where that is set.
    async fn add_groups(&self, ldap: &mut Ldap, found: &mut Found) -> Result<(), Away> {
        if self.set.group_base.is_empty() {
            return Ok(());
        }
        self.bind_service(ldap).await?;
        let filter = self.set.group_filter.replace("{dn}", &ldap_escape(found.dn.as_str()));
        let search = ldap.with_timeout(STEP_MAX).search(&self.set.group_base, Scope::Subtree, &filter, vec!["1.1"]);
        let (entries, _) = search.await?.success()?;
        let entries = entries.into_iter().filter(|e| !e.is_ref() && !e.is_intermediate()).take(GROUPS_MAX);
        found.groups.extend(entries.map(|entry| SearchEntry::construct(entry).dn));
        Ok(())
    }
}

/// A directory that does not help now.
fn away(why: &str) -> ApiError {
    tracing::warn!(why, "the directory of sign-ins does not help");
    let detail = "the name or the password is wrong, or it is one of the directory, which does not answer as it should: try again, \
                  or ask your administrator, whose page of settings can test it";
    let title = "The directory does not answer";
    ApiError::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "directoryAway", title, detail).retry_after(5)
}

async fn in_time<T>(work: impl Future<Output = Result<T, Away>>) -> Result<T, Away> {
    let late = |_| Err(Away::Why("the directory does not answer in time".into()));
    tokio::time::timeout(TALK_MAX, work).await.unwrap_or_else(late)
}

/// Closes a connection; the directory would do so later by itself.
async fn close(mut ldap: Ldap) {
    let _ = ldap.with_timeout(Duration::from_secs(1)).unbind().await;
}

/// Signs in by the directory. None: there is none, or it does not know this name with this password.
pub(crate) async fn sign_in(
    state: &WebState,
    typed: &str,
    password: &str,
    address: IpAddr,
) -> Result<Option<(User, SecondFactor)>, ApiError> {
    let Some(directory) = Directory::of(state).await? else { return Ok(None) };
    let long = |text: &str| text.chars().count() > TYPED_CHARS_MAX;
    if password.is_empty() || typed.trim().is_empty() || long(typed) || long(password) {
        return Ok(None);
    }
    let search = async {
        let mut ldap = directory.open().await?;
        let found = directory.find_typed(&mut ldap, typed).await?;
        Ok((ldap, found))
    };
    let (mut ldap, mut found) = in_time(search).await.map_err(|Away::Why(why)| away(&why))?;
    if let Some(found) = &found {
        limits::directory(state, &normal_dn(&found.dn), address).await?;
    }
    let bind = async {
        let right = directory.is_password(&mut ldap, found.as_ref(), password).await?;
        if let Some(found) = found.as_mut().filter(|_| right) {
            directory.add_groups(&mut ldap, found).await?;
        }
        Ok(right)
    };
    let right = in_time(bind).await.map_err(|Away::Why(why)| away(&why))?;
    close(ldap).await;
    let Some(found) = found.filter(|_| right) else { return Ok(None) };
    limits::directory_signed_in(state, &normal_dn(&found.dn), address).await?;
    let rules = &directory.set.arrivals;
    let arrival = Arrival {
        origin: "ldap",
        subject: found.subject,
        // What stands in the directory was put there by its administrators.
        email_verified: !found.email.is_empty(),
        email: found.email,
        name: found.name,
        groups: found.groups,
        address,
    };
    let user = arrivals::admit(state, rules, &arrival).await?;
    Ok(Some((user, rules.second_factor)))
}

/// True when this is the person's password in the directory.
pub(crate) async fn proves(state: &WebState, user: &User, password: &str) -> Result<bool, ApiError> {
    let (Some(directory), Some(subject)) = (Directory::of(state).await?, user.subject.as_deref()) else {
        return Ok(false);
    };
    let work = async {
        let mut ldap = directory.open().await?;
        let found = directory.find_subject(&mut ldap, subject).await?;
        let right = directory.is_password(&mut ldap, found.as_ref(), password).await?;
        close(ldap).await;
        Ok(right)
    };
    in_time(work).await.map_err(|Away::Why(why)| away(&why))
}

/// Tries the settings: the connection, the service account, the place where people are searched, and one of them when a name is given.
/// Err: a sentence of what does not work.
pub(crate) async fn attempt(directory: &Directory, typed: Option<&str>) -> Result<Option<Found>, String> {
    let work = async {
        let mut ldap = directory.open().await?;
        let base = &directory.set.user_base;
        let looked = ldap.with_timeout(STEP_MAX).search(base, Scope::Base, "(objectClass=*)", vec!["1.1"]).await?;
        let (entries, _) = looked.success().map_err(|error| Away::Why(format!("{base}: {}", words(&error))))?;
        if entries.is_empty() {
            return Err(Away::Why(format!("{base}: the service account sees no such entry")));
        }
        let Some(typed) = typed else { return Ok(None) };
        let found = directory.find_typed(&mut ldap, typed).await?;
        let mut found = found.ok_or_else(|| {
            Away::Why(format!("the filter finds nobody, or more than one person, for {typed:?} below {base}"))
        })?;
        directory.add_groups(&mut ldap, &mut found).await?;
        close(ldap).await;
        Ok(Some(found))
    };
    in_time(work).await.map_err(String::from)
}
