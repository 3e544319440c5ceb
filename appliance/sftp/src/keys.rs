//! Keys: a group's own pair, and the host key by which a server is known again.

use std::{fmt, sync::Arc};

use russh::keys::{
    HashAlg, PrivateKey, PublicKey,
    ssh_key::{
        LineEnding,
        private::{Ed25519Keypair, KeypairData},
    },
};

use crate::SftpError;

/// An ed25519 key pair. Its private half is never printed.
#[derive(Clone)]
pub struct KeyPair(pub(crate) Arc<PrivateKey>);

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(..)")
    }
}

impl KeyPair {
    /// A new pair, with this comment behind the public half.
    ///
    /// # Errors
    /// [`SftpError::BadKey`] when the library refuses.
    pub fn generate(comment: &str) -> Result<Self, SftpError> {
        let seed: [u8; 32] = rand::random();
        let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
        let key = PrivateKey::new(pair, comment).map_err(|_| SftpError::BadKey { what: "the new key" })?;
        Ok(Self(Arc::new(key)))
    }

    /// The private half, as OpenSSH writes it.
    ///
    /// # Errors
    /// [`SftpError::BadKey`] when the library refuses.
    pub fn private_text(&self) -> Result<String, SftpError> {
        let text = self.0.to_openssh(LineEnding::LF).map_err(|_| SftpError::BadKey { what: "the private key" })?;
        Ok(text.to_string())
    }

    /// Reads [`Self::private_text`].
    ///
    /// # Errors
    /// [`SftpError::BadKey`].
    pub fn from_private_text(text: &str) -> Result<Self, SftpError> {
        let key = PrivateKey::from_openssh(text).map_err(|_| SftpError::BadKey { what: "the private key" })?;
        Ok(Self(Arc::new(key)))
    }

    /// The line for `authorized_keys`.
    ///
    /// # Errors
    /// [`SftpError::BadKey`] when the library refuses.
    pub fn public_line(&self) -> Result<String, SftpError> {
        self.0.public_key().to_openssh().map_err(|_| SftpError::BadKey { what: "the public key" })
    }
}

/// A server's host key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostKey(pub(crate) PublicKey);

impl HostKey {
    pub(crate) fn of(key: PublicKey) -> Self {
        // The comment is not part of what is compared.
        Self(PublicKey::new(key.key_data().clone(), ""))
    }

    /// Reads a line such as `ssh-ed25519 AAAA...`.
    ///
    /// # Errors
    /// [`SftpError::BadKey`].
    pub fn parse(line: &str) -> Result<Self, SftpError> {
        PublicKey::from_openssh(line.trim()).map(Self::of).map_err(|_| SftpError::BadKey { what: "the host key" })
    }

    /// As a line.
    ///
    /// # Errors
    /// [`SftpError::BadKey`] when the library refuses.
    pub fn line(&self) -> Result<String, SftpError> {
        let line = self.0.to_openssh().map_err(|_| SftpError::BadKey { what: "the host key" })?;
        Ok(line.trim().to_owned())
    }

    /// `SHA256:...`, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn pairs_are_written_and_read_and_never_printed() {
        let pair = KeyPair::generate("holdfast of prod").unwrap();
        let line = pair.public_line().unwrap();
        assert!(line.starts_with("ssh-ed25519 ") && line.ends_with(" holdfast of prod"), "{line}");
        let again = KeyPair::from_private_text(&pair.private_text().unwrap()).unwrap();
        assert_eq!(again.public_line().unwrap(), line);
        assert_ne!(KeyPair::generate("x").unwrap().private_text().unwrap(), pair.private_text().unwrap());
        assert_eq!(format!("{pair:?}"), "KeyPair(..)");
        assert!(KeyPair::from_private_text(&line).is_err());
    }

    #[test]
    fn host_keys_are_compared_without_comments() {
        let line = KeyPair::generate("somebody").unwrap().public_line().unwrap();
        let key = HostKey::parse(&line).unwrap();
        assert_eq!(HostKey::parse(&key.line().unwrap()).unwrap(), key);
        assert!(!key.line().unwrap().contains("somebody") && key.fingerprint().starts_with("SHA256:"));
        assert!(HostKey::parse("ssh-ed25519 nonsense").is_err());
    }
}
