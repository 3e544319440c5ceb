//! Paths as they may stand in logs: the secret of a restore link is not shown.

/// Where links with secrets live.
const LINKS: &str = "/restores/";

/// The path without the secret in it.
#[must_use]
pub(crate) fn redacted(path: &str) -> String {
    match path.strip_prefix(LINKS) {
        Some(rest) => {
            let file = rest.split_once('/').map_or("", |(_, file)| file);
            format!("{LINKS}***/{file}")
        }
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn secrets_do_not_stay() {
        assert_eq!(redacted("/restores/hfr_abc/x.tar"), "/restores/***/x.tar");
        assert_eq!(redacted("/restores/hfr_abc"), "/restores/***/");
        assert_eq!(redacted("/agent/v1/config"), "/agent/v1/config");
    }
}
