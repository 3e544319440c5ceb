//! How an agent becomes known: one token, given by an operator, exchanged once for a key of the agent's own.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use holdfast_domain::{AgentId, GroupId};
use serde::{Deserialize, Serialize};

/// First characters of a token: version and a mark that secret scanners can find.
const TOKEN_PREFIX: &str = "hfe1_";
/// Longest token accepted, in characters.
const TOKEN_CHARS_MAX: usize = 4096;

/// What a token carries. Shown once to the operator; the server keeps only the hash of `secret`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollToken {
    /// Where backup agents report, e.g. `https://appliance:8081`.
    pub ingest_url: String,
    /// Where monitoring agents report, e.g. `https://appliance:8080`.
    pub web_url: String,
    /// Hex SHA-256 of the SubjectPublicKeyInfo of the appliance's CA. Empty only for plain HTTP on loopback.
    pub ca_pin: String,
    /// The enrolment secret.
    pub secret: String,
}

/// The text is not a token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Wrong beginning.
    #[error("this is not an enrolment token: it must begin with {TOKEN_PREFIX}")]
    Prefix,
    /// Damaged.
    #[error("the enrolment token is damaged: copy it again, whole")]
    Damaged,
}

impl EnrollToken {
    /// The token as one word.
    #[must_use]
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("a struct of strings always serialises");
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError`] when the text is not one.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let rest = text.trim().strip_prefix(TOKEN_PREFIX).ok_or(TokenError::Prefix)?;
        if rest.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Damaged);
        }
        let json = URL_SAFE_NO_PAD.decode(rest).map_err(|_| TokenError::Damaged)?;
        serde_json::from_slice(&json).map_err(|_| TokenError::Damaged)
    }
}

/// An agent introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollRequest {
    /// Secret of the token.
    pub secret: String,
    /// Host name of the agent's machine.
    pub hostname: String,
    /// Version of the agent.
    pub version: String,
    /// Random, made once per state directory: enrolling again with the same one gives the same agent a new key.
    pub instance: String,
}

/// What the agent keeps in its state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrollResponse {
    /// Its id.
    pub agent: AgentId,
    /// Its group.
    pub group: GroupId,
    /// Its key: sent as `Authorization: Bearer <key>`.
    pub key: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn round_trip_and_damage() {
        let token = EnrollToken {
            ingest_url: "https://a:8081".into(),
            web_url: "https://a:8080".into(),
            ca_pin: "00".into(),
            secret: "s".into(),
        };
        let text = token.encode();
        assert_eq!(EnrollToken::decode(&format!(" {text}\n")).unwrap(), token);
        assert_eq!(EnrollToken::decode("abc"), Err(TokenError::Prefix));
        assert_eq!(EnrollToken::decode(&text[..text.len() - 3]), Err(TokenError::Damaged));
    }
}
