//! Mail: the server's settings, a test, and the messages that are sent.
//!
//! Invariants: addresses and headers are built by the library from parsed parts, so that nothing typed by anyone becomes a header; texts are
//! plain; the server's password is stored sealed and never shown; TLS certificates are always checked.

use std::{sync::LazyLock, time::Duration};

use axum::{extract::State, http::StatusCode};
use bson::{Binary, doc, spec::BinarySubtype};
use holdfast_metadb::Seen;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::authentication::Credentials,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault, meta_fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
    state::WebState,
};

/// Name of the setting.
pub(crate) const NAME: &str = "mail";
/// Longest talk with a mail server about one message.
const TALK_MAX: Duration = Duration::from_secs(20);
/// Messages that are worked on in the background at once; what comes beyond is dropped with a line in the log.
const BACKGROUND_MAX: usize = 32;
/// Longest host name, user name and password, in characters.
const TEXT_CHARS_MAX: usize = 255;

static BACKGROUND: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(BACKGROUND_MAX));

/// How the talk with the server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum MailSecurity {
    /// TLS from the first byte (465).
    Tls,
    /// STARTTLS, required (587).
    StartTls,
    /// None: for a server on this machine.
    None,
}

/// As stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    host: String,
    port: i32,
    security: MailSecurity,
    username: Option<String>,
    password_sealed: Option<Binary>,
    from: String,
    /// Certificate of a CA of one's own, PEM.
    #[serde(default)]
    ca: Option<String>,
}

/// The mail server. An empty `host`: none is set.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MailView {
    /// Host name.
    host: String,
    /// Port.
    port: u16,
    /// How the talk is kept secret.
    security: MailSecurity,
    /// User name; null: none is needed.
    username: Option<String>,
    /// There is a password (it is never shown).
    password_set: bool,
    /// Sender: `name@host` or `Name <name@host>`.
    from: String,
    /// Certificate of a CA of one's own, PEM; null: those of the machine.
    ca: Option<String>,
}

/// The mail server to use.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SetMail {
    /// Host name; empty: send no mail.
    host: String,
    /// Port.
    port: u16,
    /// How the talk is kept secret.
    security: MailSecurity,
    /// User name.
    username: Option<String>,
    /// Password; left out: the one that is stored stays.
    password: Option<String>,
    /// Sender: `name@host` or `Name <name@host>`.
    from: String,
    /// Certificate of a CA of one's own, PEM.
    ca: Option<String>,
}

/// Whom to send a test to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestMail {
    /// E-mail address.
    to: String,
}

/// A message.
pub(crate) struct Message {
    to: String,
    subject: String,
    body: String,
}

impl Message {
    fn new(to: &str, subject: String, body: String) -> Self {
        Self { to: to.to_owned(), subject, body }
    }

    pub(crate) fn invitation(to: &str, group: &str, by: &str, link: &str) -> Self {
        let subject = format!("Invitation to {group} on Holdfast");
        let body = format!("{by} invites you to the group {group} on Holdfast.\n\nJoin here within 7 days:\n{link}\n");
        Self::new(to, subject, body)
    }

    pub(crate) fn confirm_email(to: &str, from: &str, link: &str) -> Self {
        let body = format!(
            "The account {from} on Holdfast asks to go by this address.\n\nConfirm it here within a day:\n{link}\n\n\
             If it was not you, do nothing: the account stays as it is.\n"
        );
        Self::new(to, "Your new address on Holdfast".into(), body)
    }

    pub(crate) fn email_taken(to: &str, from: &str) -> Self {
        let body = format!(
            "The account {from} on Holdfast asks to go by this address, which has an account already: nothing was changed.\n"
        );
        Self::new(to, "Your address on Holdfast".into(), body)
    }

    pub(crate) fn email_asked(old: &str, new: &str) -> Self {
        let body = format!(
            "Someone, hopefully you, asked that your account on Holdfast goes by {new} instead of this address. It does once \
             that address is confirmed.\n\nIf it was not you, sign in, change your password and end your other sessions.\n"
        );
        Self::new(old, "The address of your account on Holdfast".into(), body)
    }

    pub(crate) fn email_changed(old: &str, new: &str) -> Self {
        let body = format!(
            "Your account on Holdfast goes by {new} now. This address is no longer used.\n\nIf it was not you, ask an \
             administrator of the appliance at once.\n"
        );
        Self::new(old, "The address of your account on Holdfast was changed".into(), body)
    }

    pub(crate) fn account(to: &str, link: &str) -> Self {
        let body = format!("An account on Holdfast was made for you.\n\nSet a password here within 7 days:\n{link}\n");
        Self::new(to, "Your account on Holdfast".into(), body)
    }

    pub(crate) fn reset(to: &str, link: &str) -> Self {
        let body = format!(
            "Someone, hopefully you, asked for a new password on Holdfast.\n\nSet one here within an hour:\n{link}\n\n\
             If it was not you, do nothing: your password stays as it is.\n"
        );
        Self::new(to, "A new password on Holdfast".into(), body)
    }

    pub(crate) fn sign_up(to: &str, link: &str) -> Self {
        let body = format!("You asked for an account on Holdfast.\n\nMake it here within a day:\n{link}\n");
        Self::new(to, "Your account on Holdfast".into(), body)
    }

    pub(crate) fn known(to: &str, url: &str) -> Self {
        let body = format!(
            "Someone, hopefully you, asked for an account on Holdfast. You have one already: sign in at\n{url}\n\nIf you have \
             forgotten your password, ask for a new one there.\n"
        );
        Self::new(to, "Your account on Holdfast".into(), body)
    }
}

async fn stored(state: &WebState) -> Result<Option<Stored>, ApiError> {
    Ok(stored_at(state).await?.0)
}

async fn stored_at(state: &WebState) -> Result<(Option<Stored>, i64), ApiError> {
    let (found, revision) = state.metadb().appliance_setting_at(NAME).await.map_err(fault)?;
    let stored = found.map(bson::deserialize_from_document::<Stored>).transpose();
    let stored = stored.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Corrupt, &error))?;
    Ok((stored.filter(|stored| !stored.host.is_empty()), revision))
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    let parsed = text.parse::<Mailbox>().or_else(|_| text.parse::<Address>().map(|a| Mailbox::new(None, a)));
    parsed.map_err(|_| format!("{text:?} is not an e-mail address"))
}

fn transport(stored: &Stored, password: Option<String>) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
    let tls = || {
        let mut builder = TlsParameters::builder(stored.host.clone());
        if let Some(pem) = &stored.ca {
            let certificate = Certificate::from_pem(pem.as_bytes());
            builder = builder.add_root_certificate(certificate.map_err(|_| "the CA certificate is not one")?);
        }
        builder.build().map_err(|error| error.to_string())
    };
    let tls = match stored.security {
        MailSecurity::Tls => Tls::Wrapper(tls()?),
        MailSecurity::StartTls => Tls::Required(tls()?),
        MailSecurity::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&stored.host)
        .port(u16::try_from(stored.port).unwrap_or_default())
        .tls(tls)
        .timeout(Some(TALK_MAX));
    if let Some(username) = &stored.username {
        builder = builder.credentials(Credentials::new(username.clone(), password.unwrap_or_default()));
    }
    Ok(builder.build())
}

/// Sends now. Ok(Err): a sentence of why it was not taken.
async fn send(state: &WebState, stored: &Stored, message: Message) -> Result<Result<(), String>, ApiError> {
    let password = match &stored.password_sealed {
        Some(sealed) => Some(state.open_setting(NAME, &sealed.bytes)?),
        None => None,
    };
    let attempt = async {
        let letter = lettre::Message::builder()
            .from(mailbox(&stored.from)?)
            .to(mailbox(&message.to)?)
            .subject(message.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(message.body)
            .map_err(|error| error.to_string())?;
        transport(stored, password)?.send(letter).await.map_err(|error| chain(&error))?;
        Ok(())
    };
    let timed = tokio::time::timeout(TALK_MAX * 2, attempt).await;
    Ok(timed.unwrap_or_else(|_| Err("the mail server does not answer in time".into())))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// Sends a message in the background. False: no mail server is set.
pub(crate) async fn post(state: &WebState, message: Message) -> Result<bool, ApiError> {
    let Some(stored) = stored(state).await? else { return Ok(false) };
    let state = state.clone();
    in_background(async move {
        if let Err(why) = send(&state, &stored, message).await? {
            tracing::warn!(why, host = stored.host, "a mail was not sent");
        }
        Ok(())
    });
    Ok(true)
}

/// Sends a message and waits until the server took it. False: no mail server is set.
pub(crate) async fn deliver(state: &WebState, message: Message) -> Result<bool, ApiError> {
    let Some(stored) = stored(state).await? else { return Ok(false) };
    send(state, &stored, message).await?.map_err(|why| {
        let detail = format!(
            "the mail server did not take the mail, and nothing was changed: {why}. Put it right, then try again"
        );
        ApiError::refused("mailFailed", detail)
    })?;
    Ok(true)
}

/// True when a mail server is set.
pub(crate) async fn is_set(state: &WebState) -> Result<bool, ApiError> {
    Ok(stored(state).await?.is_some())
}

/// Does something whose duration must not be seen by who asked for it.
pub(crate) fn in_background(work: impl Future<Output = Result<(), ApiError>> + Send + 'static) {
    let Ok(slot) = BACKGROUND.try_acquire() else {
        tracing::warn!(BACKGROUND_MAX, "too many mails at once: one was dropped");
        return;
    };
    tokio::spawn(async move {
        let _slot = slot;
        if let Err(error) = work.await {
            tracing::warn!(?error, "work in the background failed");
        }
    });
}

fn view(stored: Option<Stored>) -> MailView {
    match stored {
        Some(stored) => MailView {
            host: stored.host,
            port: u16::try_from(stored.port).unwrap_or_default(),
            security: stored.security,
            username: stored.username,
            password_set: stored.password_sealed.is_some(),
            from: stored.from,
            ca: stored.ca,
        },
        None => MailView {
            host: String::new(),
            port: 587,
            security: MailSecurity::StartTls,
            username: None,
            password_set: false,
            from: String::new(),
            ca: None,
        },
    }
}

/// The mail server.
#[utoipa::path(get, path = "/settings/mail", tag = "settings",
    responses((status = 200, body = MailView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_mail(State(state): State<WebState>) -> Result<Tagged<MailView>, ApiError> {
    let (stored, revision) = stored_at(&state).await?;
    Ok(Tagged(revision, view(stored)))
}

/// Sets the mail server.
#[utoipa::path(put, path = "/settings/mail", tag = "settings", request_body = SetMail,
    responses((status = 200, body = MailView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_mail(
    State(state): State<WebState>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    JsonOf(set): JsonOf<SetMail>,
) -> Result<Tagged<MailView>, ApiError> {
    let old = stored(&state).await?;
    let new = checked(set, old.as_ref(), |secret| state.seal_setting(NAME, secret))?;
    let revision = put(&state, &new, &seen).await?;
    let facts = |s: &Stored| doc! { "host": &s.host, "port": s.port, "username": s.username.clone(), "from": &s.from };
    let (before, after) = (old.as_ref().map(facts), Some(facts(&new)));
    state.audit_change(&caller, None, "mail server changed", "settings/mail", before, after).await;
    Ok(Tagged(revision, view(Some(new).filter(|new| !new.host.is_empty()))))
}

/// What is stored of a mail server that fits, on an appliance that has none.
pub(crate) fn document(
    set: SetMail,
    seal: impl Fn(&str) -> Result<Vec<u8>, ApiError>,
) -> Result<bson::Document, ApiError> {
    let stored = checked(set, None, seal)?;
    bson::serialize_to_document(&stored).map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
}

/// What is stored of a mail server that fits. `seal` seals its password.
fn checked(
    set: SetMail,
    old: Option<&Stored>,
    seal: impl Fn(&str) -> Result<Vec<u8>, ApiError>,
) -> Result<Stored, ApiError> {
    let texts = [Some(&set.host), set.username.as_ref(), set.password.as_ref(), Some(&set.from)];
    let bad = |text: &&String| text.chars().count() > TEXT_CHARS_MAX || text.chars().any(char::is_control);
    if texts.into_iter().flatten().any(|text| bad(&text)) || set.ca.as_ref().is_some_and(|pem| pem.len() > 65_536) {
        return Err(ApiError::bad_request(format!(
            "a field is longer than {TEXT_CHARS_MAX} characters, or is not text"
        )));
    }
    // Sending a stored password to another server would give it away.
    let same = old.is_some_and(|old| (&old.host, old.port) == (&set.host, i32::from(set.port)));
    let password_sealed = match (set.password, old) {
        (Some(password), _) if password.is_empty() => None,
        (Some(password), _) => {
            let bytes = seal(&password)?;
            Some(Binary { subtype: BinarySubtype::Generic, bytes })
        }
        (None, Some(old)) if same => old.password_sealed.clone(),
        (None, _) => None,
    };
    let new = Stored {
        host: set.host,
        port: i32::from(set.port),
        security: set.security,
        username: set.username.filter(|name| !name.is_empty()),
        password_sealed,
        from: set.from,
        ca: set.ca.filter(|pem| !pem.trim().is_empty()),
    };
    if !new.host.is_empty() {
        mailbox(&new.from).map_err(ApiError::bad_request)?;
        transport(&new, None).map_err(ApiError::bad_request)?;
        if new.security == MailSecurity::None && new.username.is_some() && !local(&new.host) {
            let detail = "a password would go over the network in the clear: use tls or startTls";
            return Err(ApiError::refused("mailInTheClear", detail));
        }
    }
    Ok(new)
}

async fn put(state: &WebState, new: &Stored, seen: &Seen) -> Result<i64, ApiError> {
    let value = bson::serialize_to_document(new);
    let value = value.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))?;
    state.metadb().put_appliance_setting_seen(NAME, value, seen).await.map_err(meta_fault)
}

fn local(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Sends a test now and says what the server said.
#[utoipa::path(post, path = "/settings/mail/test", tag = "settings", request_body = TestMail,
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test_mail(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(test): JsonOf<TestMail>,
) -> Result<StatusCode, ApiError> {
    let set = stored(&state).await?;
    let set = set.ok_or_else(|| ApiError::refused("mailNotSet", "no mail server is set: set one first"))?;
    let body = format!("Holdfast at {} can send mail by this server.\n", state.public_url());
    let message = Message::new(&test.to, "A test from Holdfast".into(), body);
    send(&state, &set, message).await?.map_err(|why| {
        ApiError::refused("mailFailed", format!("{}:{} did not take the mail: {why}", set.host, set.port))
    })?;
    state.audit(&caller, None, "test mail sent", &test.to).await;
    Ok(StatusCode::NO_CONTENT)
}
