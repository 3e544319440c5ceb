//! The URL by which people reach the appliance, when it is set in the app instead of the configuration file.
//!
//! Links in mails, invitations and sign-ins by a provider are made with it. Agents and certificates go by the configuration file.

use bson::doc;

use crate::{MetaDb, MetaError, Seen};

/// Name of the setting.
const NAME: &str = "publicUrl";
/// Longest URL, in characters.
const CHARS_MAX: usize = 255;

/// A URL as it is stored: scheme, host and port, nothing after them.
///
/// # Errors
/// A sentence that says what is expected.
pub fn normal_url(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is not the URL of a server: `https://backup.example.com` is expected");
    let text = text.trim().trim_end_matches('/');
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or_else(wrong)?;
    let bad = |c: char| !c.is_ascii() || c.is_ascii_control() || " /?#@\\\"<>%,;'{}|^`".contains(c);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !authority.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match is_v6 {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']']) && !host.starts_with('.'),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if text.chars().count() > CHARS_MAX || authority.contains(bad) || !host_fits || !port_fits {
        return Err(wrong());
    }
    Ok(text.to_ascii_lowercase())
}

impl MetaDb {
    /// The URL that was set, with its revision. None: the configuration file's counts.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn public_url(&self) -> Result<(Option<String>, i64), MetaError> {
        let (stored, revision) = self.appliance_setting_at(NAME).await?;
        Ok((stored.and_then(|doc| doc.get_str("url").ok().map(str::to_owned)), revision))
    }

    /// Sets the URL, or forgets it, if it is at a revision that was seen; gives the revision after it.
    ///
    /// # Errors
    /// [`MetaError::Invalid`], [`MetaError::Changed`], [`MetaError::Database`].
    pub async fn put_public_url(&self, url: Option<&str>, seen: &Seen) -> Result<i64, MetaError> {
        let url = url.map(normal_url).transpose();
        let url = url.map_err(|detail| MetaError::Invalid { what: "the public URL", detail })?;
        self.put_appliance_setting_seen(NAME, doc! { "url": url }, seen).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_server_and_nothing_after_it() {
        for (typed, stored) in [
            ("https://Backup.Example.com/", "https://backup.example.com"),
            (" http://10.0.0.1:8080 ", "http://10.0.0.1:8080"),
            ("https://[fd00::1]:8443", "https://[fd00::1]:8443"),
            ("https://[fd00::1]", "https://[fd00::1]"),
        ] {
            assert_eq!(normal_url(typed).unwrap(), stored);
        }
        for bad in [
            "",
            "backup.example.com",
            "ftp://a",
            "https://",
            "https://a/b",
            "https://a?x",
            "https://u@a",
            "https://a:0",
            "https://a:99999",
            "https://a b",
            "https://[::x]",
            "https://a:b:1",
            "javascript:alert(1)",
            "https://.a",
        ] {
            assert!(normal_url(bad).is_err(), "{bad}");
        }
    }
}
