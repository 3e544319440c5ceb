//! Which member to read from: hidden, then secondary, then primary. Pure.

/// How far behind the newest member one may be and still count as current, in seconds.
const LAG_SECONDS_MAX: i64 = 30;

/// A member as the others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// `host:port`.
    pub(crate) host: String,
    /// State by name: `PRIMARY`, `SECONDARY` ...
    pub(crate) state: String,
    pub(crate) healthy: bool,
    pub(crate) hidden: bool,
    pub(crate) arbiter: bool,
    pub(crate) delay_seconds: i64,
    /// Seconds behind the newest member.
    pub(crate) lag_seconds: i64,
}

impl Candidate {
    /// True when it can be read from at all: not an arbiter, not delayed, not in initial sync, recovery or rollback.
    fn fits(&self) -> bool {
        let readable = matches!(self.state.as_str(), "PRIMARY" | "SECONDARY");
        self.healthy && readable && !self.arbiter && self.delay_seconds == 0
    }

    fn rank(&self) -> (bool, u8) {
        let kind = match (self.hidden, self.state.as_str()) {
            (true, _) => 0,
            (false, "SECONDARY") => 1,
            _ => 2,
        };
        (self.lag_seconds > LAG_SECONDS_MAX, kind)
    }
}

/// What the choice shall heed besides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes<'a> {
    /// The operator's choice.
    pub(crate) wanted: Option<&'a str>,
    /// Read from last: resume tokens hold only there.
    pub(crate) before: Option<&'a str>,
    /// Just failed, or lost the window.
    pub(crate) avoid: &'a [String],
}

/// The member to take; None when none fits.
pub(crate) fn choose<'a>(candidates: &'a [Candidate], wishes: Wishes<'_>) -> Option<&'a Candidate> {
    let fits: Vec<&Candidate> = candidates.iter().filter(|c| c.fits() && !wishes.avoid.contains(&c.host)).collect();
    let named = |name: Option<&str>| fits.iter().copied().find(|c| Some(c.host.as_str()) == name);
    named(wishes.wanted)
        .or_else(|| named(wishes.before).filter(|c| c.lag_seconds <= LAG_SECONDS_MAX))
        .or_else(|| fits.iter().copied().min_by_key(|c| c.rank()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(host: &str, state: &str) -> Candidate {
        Candidate {
            host: host.into(),
            state: state.into(),
            healthy: true,
            hidden: false,
            arbiter: false,
            delay_seconds: 0,
            lag_seconds: 0,
        }
    }
    fn chosen<'a>(all: &'a [Candidate], wishes: Wishes<'_>) -> Option<&'a str> {
        choose(all, wishes).map(|c| c.host.as_str())
    }

    #[test]
    fn hidden_then_secondary_then_primary() {
        let mut all = vec![member("p", "PRIMARY"), member("s", "SECONDARY"), member("h", "SECONDARY")];
        all[2].hidden = true;
        assert_eq!(chosen(&all, Wishes::default()), Some("h"));
        all[2].healthy = false;
        assert_eq!(chosen(&all, Wishes::default()), Some("s"));
        all[1].state = "STARTUP2".into();
        assert_eq!(chosen(&all, Wishes::default()), Some("p"));
        all[0].state = "ROLLBACK".into();
        assert_eq!(chosen(&all, Wishes::default()), None);
    }

    #[test]
    fn never_delayed_or_arbiter_and_a_lagging_one_last() {
        let mut all =
            vec![member("d", "SECONDARY"), member("a", "ARBITER"), member("l", "SECONDARY"), member("p", "PRIMARY")];
        all[0].delay_seconds = 3600;
        all[1].arbiter = true;
        all[2].lag_seconds = 100;
        assert_eq!(chosen(&all, Wishes::default()), Some("p"));
        assert_eq!(chosen(&all, Wishes { avoid: &["p".into()], ..Wishes::default() }), Some("l"));
    }

    #[test]
    fn wishes() {
        let all = [member("p", "PRIMARY"), member("s", "SECONDARY"), member("t", "SECONDARY")];
        assert_eq!(chosen(&all, Wishes { wanted: Some("p"), before: Some("t"), avoid: &[] }), Some("p"));
        assert_eq!(chosen(&all, Wishes { wanted: Some("x"), before: Some("t"), avoid: &[] }), Some("t"));
        let avoid = ["p".to_owned(), "t".to_owned()];
        assert_eq!(chosen(&all, Wishes { wanted: Some("p"), before: Some("t"), avoid: &avoid }), Some("s"));
    }
}
