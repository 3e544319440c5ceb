//! Rate limits and lock-outs. Counted in the app database, so that all instances count together.
//!
//! An attempt is counted before it is looked at; the limits do not ask whether an account exists, so they tell nothing about it.

use std::{net::IpAddr, time::Duration};

use axum::http::StatusCode;
use holdfast_metadb::normal_email;

use crate::{caller::fault, problem::ApiError, state::WebState};

/// Length of a window: a lock-out ends after at most this long.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Attempts at one account from one address in a window.
const PAIR_MAX: u32 = 10;
/// Attempts at one account from all addresses.
const ACCOUNT_MAX: u32 = 50;
/// Attempts from one address at all accounts together: many people may share one.
const ADDRESS_MAX: u32 = 200;
/// Mails that one person can be sent by asking.
const MAILS_MAX: u32 = 5;
/// Guesses of the set-up code from one address.
const SETUP_MAX: u32 = 20;

async fn count(state: &WebState, name: &str, max: u32) -> Result<(), ApiError> {
    match state.metadb().throttle(name, max, WINDOW).await.map_err(fault)? {
        None => Ok(()),
        Some(seconds) => {
            let detail = format!("too many attempts: try again in {} min", seconds.div_ceil(60));
            let title = "Too many attempts";
            Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "lockedOut", title, detail).retry_after(seconds))
        }
    }
}

/// Counts an attempt to sign in as someone, or to prove who one is.
pub(crate) async fn sign_in(state: &WebState, email: &str, address: IpAddr) -> Result<(), ApiError> {
    let email = normal_email(email);
    count(state, &format!("signIn/{address}"), ADDRESS_MAX).await?;
    count(state, &format!("signIn/{email}"), ACCOUNT_MAX).await?;
    count(state, &format!("signIn/{email}/{address}"), PAIR_MAX).await
}

/// Forgets the attempts at an account from an address: they ended well.
pub(crate) async fn signed_in(state: &WebState, email: &str, address: IpAddr) -> Result<(), ApiError> {
    let email = normal_email(email);
    state.metadb().unthrottle(&format!("signIn/{email}")).await.map_err(fault)?;
    state.metadb().unthrottle(&format!("signIn/{email}/{address}")).await.map_err(fault)
}

/// Counts an attempt at someone of a directory, by whatever name it was typed: spellings of one person share their lock-out.
pub(crate) async fn directory(state: &WebState, dn: &str, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("directory/{dn}"), ACCOUNT_MAX).await?;
    count(state, &format!("directory/{dn}/{address}"), PAIR_MAX).await
}

/// Forgets the attempts at someone of a directory from an address: they ended well.
pub(crate) async fn directory_signed_in(state: &WebState, dn: &str, address: IpAddr) -> Result<(), ApiError> {
    state.metadb().unthrottle(&format!("directory/{dn}")).await.map_err(fault)?;
    state.metadb().unthrottle(&format!("directory/{dn}/{address}")).await.map_err(fault)
}

/// Counts a step of a sign-in at the provider: each makes this server ask it.
pub(crate) async fn elsewhere(state: &WebState, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("signInElsewhere/{address}"), ADDRESS_MAX).await
}

/// Counts a request that makes a mail to an address.
pub(crate) async fn mail(state: &WebState, email: &str, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("mail/from/{address}"), ADDRESS_MAX).await?;
    count(state, &format!("mail/to/{}", normal_email(email)), MAILS_MAX).await
}

/// Counts a use of a secret that came by mail.
pub(crate) async fn secret(state: &WebState, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("secret/{address}"), ADDRESS_MAX).await
}

/// Counts a guess of the set-up code.
pub(crate) async fn setup(state: &WebState, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("setup/{address}"), SETUP_MAX).await
}
