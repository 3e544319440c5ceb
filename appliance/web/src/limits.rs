//! Rate limits and lock-outs. Counted in the app database, so that all instances count together.
//!
//! An attempt is counted before it is looked at; the limits do not ask whether an account exists, so they tell nothing about it.
//!
//! Who guesses must not lock the owner out: one place (an IPv4 address, or the /64 that an IPv6 address lies in) uses up its own attempts at an
//! account and then counts for nothing more; what many places use up together does not count where the account signed in before, nor for who is
//! signed in and proves again who they are.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use axum::http::StatusCode;
use holdfast_metadb::{Session, normal_email};

use crate::{caller::fault, problem::ApiError, state::WebState};

/// Length of a window: a lock-out ends after at most this long.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Attempts at one account from one place in a window; proofs of identity in one session.
const PAIR_MAX: u32 = 10;
/// Attempts at one account from all places where it never signed in.
const ACCOUNT_MAX: u32 = 50;
/// How long a place is known where an account signed in: 30 days.
const KNOWN: Duration = Duration::from_secs(30 * 86_400);
/// Attempts from one place at all accounts together: many people may share one.
const ADDRESS_MAX: u32 = 200;
/// Mails that one person can be sent by asking.
const MAILS_MAX: u32 = 5;
/// Looks at servers that one person or key names.
const LOOKS_MAX: u32 = 60;
/// Guesses of the set-up code from one address.
const SETUP_MAX: u32 = 20;

async fn count(state: &WebState, name: &str, max: u32) -> Result<(), ApiError> {
    count_of(state, None, name, max).await
}

async fn count_of(state: &WebState, family: Option<&str>, name: &str, max: u32) -> Result<(), ApiError> {
    match state.metadb().throttle_of(family, name, max, WINDOW).await.map_err(fault)? {
        None => Ok(()),
        Some(seconds) => {
            let detail = format!("too many attempts: try again in {} min", seconds.div_ceil(60));
            let title = "Too many attempts";
            Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "lockedOut", title, detail).retry_after(seconds))
        }
    }
}

/// What is taken for one place: whoever has one IPv6 address has all of its /64.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// Name of the family of an account's counters: [`holdfast_metadb::MetaDb::unthrottle_family`] ends its lock-outs.
#[must_use]
pub fn sign_in_family(email: &str) -> String {
    format!("signIn/{}", normal_email(email))
}

/// Counts an attempt to sign in as someone.
pub(crate) async fn sign_in(state: &WebState, email: &str, address: IpAddr) -> Result<(), ApiError> {
    let place = place(address);
    count(state, &format!("signIn/{place}"), ADDRESS_MAX).await?;
    account(state, &sign_in_family(email), place).await
}

async fn account(state: &WebState, account: &str, place: IpAddr) -> Result<(), ApiError> {
    count_of(state, Some(account), &format!("{account}/{place}"), PAIR_MAX).await?;
    if state.metadb().was_seen(&format!("known/{account}/{place}")).await.map_err(fault)? {
        return Ok(());
    }
    count_of(state, Some(account), account, ACCOUNT_MAX).await
}

/// Forgets the attempts at an account from a place, and knows the place: they ended well.
pub(crate) async fn signed_in(state: &WebState, email: &str, address: IpAddr) -> Result<(), ApiError> {
    ended_well(state, &sign_in_family(email), place(address)).await
}

async fn ended_well(state: &WebState, account: &str, place: IpAddr) -> Result<(), ApiError> {
    state.metadb().note_seen(&format!("known/{account}/{place}"), KNOWN).await.map_err(fault)?;
    state.metadb().unthrottle(account).await.map_err(fault)?;
    state.metadb().unthrottle(&format!("{account}/{place}")).await.map_err(fault)
}

/// Counts an attempt of someone who is signed in to prove who they are: apart from signing in, so that no stranger uses it up.
pub(crate) async fn prove(state: &WebState, session: &Session) -> Result<(), ApiError> {
    count(state, &format!("prove/{}", session.hash), PAIR_MAX).await
}

/// Forgets the attempts of a session: they ended well.
pub(crate) async fn proved(state: &WebState, session: &Session) -> Result<(), ApiError> {
    state.metadb().unthrottle(&format!("prove/{}", session.hash)).await.map_err(fault)
}

fn directory_family(dn: &str) -> String {
    format!("directory/{dn}")
}

/// Counts an attempt at someone of a directory, by whatever name it was typed: spellings of one person share their lock-out.
pub(crate) async fn directory(state: &WebState, dn: &str, address: IpAddr) -> Result<(), ApiError> {
    account(state, &directory_family(dn), place(address)).await
}

/// Forgets the attempts at someone of a directory from an address, and knows the place: they ended well.
pub(crate) async fn directory_signed_in(state: &WebState, dn: &str, address: IpAddr) -> Result<(), ApiError> {
    ended_well(state, &directory_family(dn), place(address)).await
}

/// Counts a step of a sign-in at the provider: each makes this server ask it.
pub(crate) async fn elsewhere(state: &WebState, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("signInElsewhere/{}", place(address)), ADDRESS_MAX).await
}

/// Counts a look at a server that someone names: each makes this server connect to it.
pub(crate) async fn look(state: &WebState, who: &str) -> Result<(), ApiError> {
    count(state, &format!("look/{who}"), LOOKS_MAX).await
}

/// Counts a request that makes a mail to an address.
pub(crate) async fn mail(state: &WebState, email: &str, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("mail/from/{}", place(address)), ADDRESS_MAX).await?;
    count(state, &format!("mail/to/{}", normal_email(email)), MAILS_MAX).await
}

/// Counts a use of a secret that came by mail.
pub(crate) async fn secret(state: &WebState, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("secret/{}", place(address)), ADDRESS_MAX).await
}

/// Counts a guess of the set-up code.
pub(crate) async fn setup(state: &WebState, address: IpAddr) -> Result<(), ApiError> {
    count(state, &format!("setup/{}", place(address)), SETUP_MAX).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_place_is_what_one_attacker_has() {
        let of = |text: &str| place(text.parse().unwrap()).to_string();
        assert_eq!(of("192.0.2.7"), "192.0.2.7");
        assert_eq!(of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
