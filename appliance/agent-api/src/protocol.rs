//! Which versions of the protocol a server takes; ingest and web ask here.

use crate::{PROTOCOL_HEADER, PROTOCOL_VERSION};

/// Oldest protocol version that is accepted: that of the release before.
const PROTOCOL_VERSION_MIN: u32 = 1;

/// A request whose version does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolRefusal {
    /// The version is known and one of both sides must be upgraded (status 426); else the header is missing or wrong (400).
    pub upgrade: bool,
    /// What to do, a sentence.
    pub detail: String,
}

/// Checks the header's text.
///
/// # Errors
/// [`ProtocolRefusal`].
pub fn check_protocol(text: Option<&str>) -> Result<(), ProtocolRefusal> {
    let refuse = |upgrade, detail| Err(ProtocolRefusal { upgrade, detail });
    match text.map(|t| t.trim().parse::<u32>()) {
        Some(Ok(version)) if (PROTOCOL_VERSION_MIN..=PROTOCOL_VERSION).contains(&version) => Ok(()),
        Some(Ok(version)) if version > PROTOCOL_VERSION => refuse(
            true,
            format!(
                "the agent speaks protocol {version}, this server up to {PROTOCOL_VERSION}: upgrade the appliance first, agents last"
            ),
        ),
        Some(Ok(version)) => refuse(
            true,
            format!(
                "the agent speaks protocol {version}, this server from {PROTOCOL_VERSION_MIN} on: upgrade the agent"
            ),
        ),
        _ => refuse(
            false,
            format!(
                "the header {PROTOCOL_HEADER} must carry the protocol version, a number such as {PROTOCOL_VERSION}"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let upgrade = |text| check_protocol(Some(text)).err().map(|refusal| refusal.upgrade);
        assert_eq!(upgrade(" 1 "), None);
        assert_eq!((upgrade("2"), upgrade("0"), upgrade("x")), (Some(true), Some(true), Some(false)));
        assert!(check_protocol(None).is_err());
    }
}
