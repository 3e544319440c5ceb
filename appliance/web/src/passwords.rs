//! Passwords: argon2id, the policy, and how many are worked on at once.
//!
//! Hashing takes memory and a processor on purpose: it runs beside the async threads, [`PARALLEL_MAX`] at a time. Checking a password of an
//! account that does not exist, or has none, takes as long as checking a wrong one.

use std::sync::{LazyLock, OnceLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::problem::ApiError;

/// Passwords hashed at once: each takes 19 MiB and a processor for tens of milliseconds.
const PARALLEL_MAX: usize = 2;
/// Longest password, in characters: hashing has no use for more.
const CHARS_MAX: usize = 256;
/// Passwords that every list begins with, at the lengths that the policy allows.
const COMMON: [&str; 14] = [
    "password",
    "passwort",
    "123456",
    "qwerty",
    "qwertz",
    "letmein",
    "welcome",
    "iloveyou",
    "admin",
    "administrator",
    "changeme",
    "holdfast",
    "mongodb",
    "secret",
];

static SLOTS: Semaphore = Semaphore::const_new(PARALLEL_MAX);
/// Argon2id with the library's parameters, which follow OWASP: 19 MiB, two passes.
static HASHER: LazyLock<Argon2<'static>> = LazyLock::new(Argon2::default);
static NOBODY: OnceLock<String> = OnceLock::new();

/// The password cannot be hashed: a fault of the library, which no input should cause.
#[derive(Debug, thiserror::Error)]
#[error("a password cannot be hashed: {0}")]
pub struct HashError(String);

fn hash_now(password: &str) -> Result<String, HashError> {
    let hash = HASHER.hash_password(password.as_bytes()).map_err(|error| HashError(error.to_string()))?;
    Ok(hash.to_string())
}

fn verify_now(password: &str, phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| HASHER.verify_password(password.as_bytes(), &hash).is_ok())
}

/// An argon2id string of the password, with a random salt.
///
/// # Errors
/// [`HashError`].
pub async fn hash_password(password: &str) -> Result<String, HashError> {
    let _slot = SLOTS.acquire().await.map_err(|error| HashError(error.to_string()))?;
    let password = password.to_owned();
    let done = tokio::task::spawn_blocking(move || hash_now(&password)).await;
    done.map_err(|error| HashError(error.to_string()))?
}

/// True when this is the password of the string. None takes as long and is never true.
pub(crate) async fn verify_password(password: &str, phc: Option<&str>) -> bool {
    let Ok(_slot) = SLOTS.acquire().await else { return false };
    // What is too long was never set.
    let password: String = password.chars().take(CHARS_MAX + 1).collect();
    let phc = phc.map(str::to_owned);
    let work = move || match phc {
        Some(phc) => verify_now(&password, &phc),
        None => {
            let nobody = NOBODY.get_or_init(|| hash_now("nobody's password").unwrap_or_default());
            verify_now(&password, nobody);
            false
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(false)
}

/// Makes ready what the first check needs, so that the first answer takes no longer than the others.
pub(crate) fn warm() {
    NOBODY.get_or_init(|| hash_now("nobody's password").unwrap_or_default());
}

/// Refuses passwords that the policy does not allow. `about` are words that an attacker tries first: address, name, group.
///
/// # Errors
/// A sentence of what would be allowed.
pub fn check_password(password: &str, chars_min: u32, about: &[&str]) -> Result<(), String> {
    let count = password.chars().count();
    if count < chars_min as usize {
        return Err(format!("a password has at least {chars_min} characters"));
    }
    if count > CHARS_MAX {
        return Err(format!("a password has at most {CHARS_MAX} characters"));
    }
    let lower = password.to_lowercase();
    let distinct = lower.chars().collect::<std::collections::BTreeSet<_>>().len();
    if distinct < 5 {
        return Err("this password repeats a few characters: use more different ones".into());
    }
    let mut parts: Vec<String> = about.iter().map(|word| word.to_lowercase()).collect();
    let local: Vec<String> = parts.iter().filter_map(|p| p.split_once('@').map(|(who, _)| who.to_owned())).collect();
    parts.extend(local);
    // What is left without the well-known words must still be a password. The longest go first: a name inside an address would tear it.
    let mut words: Vec<&str> = parts.iter().map(String::as_str).chain(COMMON).collect();
    words.retain(|word| word.chars().count() >= 4);
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let mut left = lower;
    for word in words {
        left = left.replace(word, "");
    }
    if left.chars().filter(|c| c.is_alphabetic() || !c.is_ascii_digit()).count() < 4
        && left.chars().count() < chars_min as usize
    {
        return Err(
            "this password is one of the first that are tried: use several words that do not belong together".into()
        );
    }
    Ok(())
}

/// The policy's refusal as an answer.
pub(crate) fn allowed(password: &str, chars_min: u32, about: &[&str]) -> Result<(), ApiError> {
    check_password(password, chars_min, about).map_err(|why| ApiError::refused("weakPassword", why))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn only_the_password_verifies() {
        let phc = hash_password("correct horse battery").await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify_password("correct horse battery", Some(&phc)).await);
        assert!(!verify_password("correct horse batterz", Some(&phc)).await);
        assert!(!verify_password("nobody's password", None).await);
        assert!(!verify_password("x", Some("rubbish")).await);
        assert_ne!(phc, hash_password("correct horse battery").await.unwrap());
    }

    #[test]
    fn the_policy() {
        let about = ["ada@example.org", "Ada Lovelace", "shop"];
        for good in ["correct horse battery", "tr0ub4dor&3xyz", "äöü-umlaute-gehen"] {
            check_password(good, 12, &about).unwrap();
        }
        for bad in ["short", "aaaaaaaaaaaaaaaa", "password12345", "ada@example.org", "holdfast123456"] {
            assert!(check_password(bad, 12, &about).is_err(), "{bad}");
        }
        assert!(check_password(&"xyzuvw".repeat(60), 12, &about).is_err(), "too long");
    }
}
