//! What `replSetGetStatus` says of the member that was asked. Pure.

use bson::Document;

use super::path::{at, documents, number, text};

/// States that serve: primary, secondary, arbiter.
const SERVING: [f64; 3] = [1.0, 2.0, 7.0];

/// The member's place in its set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    /// `PRIMARY`, `SECONDARY` ...
    pub(super) state: String,
    /// Behind the primary, in seconds; none without a primary.
    pub(super) lag_seconds: Option<f64>,
    /// The member that it copies from.
    pub(super) syncs_from: Option<String>,
    /// Values for the table, by path.
    pub(super) values: Vec<(&'static str, f64)>,
}

fn millis(document: &Document, path: &str) -> Option<f64> {
    let date = at(document, path)?.as_datetime()?;
    #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
    let millis = date.timestamp_millis() as f64;
    Some(millis)
}

/// Reads it.
pub(super) fn place(status: &Document) -> Place {
    let members = documents(status, "members");
    let own = members.iter().copied().find(|member| number(member, "self") == Some(1.0));
    let Some(own) = own else {
        return Place { state: state_name(number(status, "myState")), ..Place::default() };
    };
    let primary = members.iter().copied().find(|m| number(m, "state") == Some(1.0) && number(m, "health") == Some(1.0));
    let lag_seconds = primary.and_then(|primary| {
        let behind = millis(primary, "optimeDate")? - millis(own, "optimeDate")?;
        Some((behind / 1_000.0).max(0.0))
    });
    let is = |member: &&&Document| {
        number(member, "health") == Some(1.0) && number(member, "state").is_some_and(|s| SERVING.contains(&s))
    };
    let healthy = members.iter().filter(is).count();
    let mut values = Vec::new();
    let mut put = |path: &'static str, value: Option<f64>| values.extend(value.map(|value| (path, value)));
    put("repl:lagSeconds", lag_seconds);
    put("repl:myState", number(status, "myState"));
    put("repl:term", number(status, "term"));
    put("repl:healthy", u32::try_from(healthy).ok().map(f64::from));
    put("repl:unhealthy", u32::try_from(members.len() - healthy).ok().map(f64::from));
    let applied = millis(status, "optimes.lastAppliedWallTime");
    let committed = millis(status, "optimes.lastCommittedWallTime");
    put("repl:majorityLagSeconds", applied.zip(committed).map(|(a, c)| ((a - c) / 1_000.0).max(0.0)));
    let from = text(own, "syncSourceHost").filter(|host| !host.is_empty());
    Place {
        state: text(own, "stateStr").map_or_else(|| state_name(number(status, "myState")), str::to_owned),
        lag_seconds,
        syncs_from: from.map(str::to_owned),
        values,
    }
}

fn state_name(number: Option<f64>) -> String {
    match number {
        Some(1.0) => "PRIMARY",
        Some(2.0) => "SECONDARY",
        Some(7.0) => "ARBITER",
        _ => "UNKNOWN",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{DateTime, doc};

    #[test]
    fn lag_is_behind_the_primary_and_nothing_without_one() {
        let at = |seconds: i64| DateTime::from_millis(seconds * 1_000);
        let status = |primary_state: i32| {
            doc! { "myState": 2, "term": 5_i64,
            "optimes": { "lastAppliedWallTime": at(90), "lastCommittedWallTime": at(88) },
            "members": [
                { "name": "a", "state": primary_state, "health": 1.0, "optimeDate": at(100) },
                { "name": "b", "state": 2, "stateStr": "SECONDARY", "health": 1.0, "self": true, "optimeDate": at(90), "syncSourceHost": "a" },
                { "name": "c", "state": 8, "health": 0.0 },
            ] }
        };
        let found = place(&status(1));
        assert_eq!(
            (found.state.as_str(), found.lag_seconds, found.syncs_from.as_deref()),
            ("SECONDARY", Some(10.0), Some("a"))
        );
        let value = |path| found.values.iter().find(|(p, _)| *p == path).map(|(_, v)| *v);
        assert_eq!(
            (value("repl:majorityLagSeconds"), value("repl:healthy"), value("repl:unhealthy")),
            (Some(2.0), Some(2.0), Some(1.0))
        );
        assert_eq!(place(&status(2)).lag_seconds, None);
        assert_eq!(place(&doc! { "myState": 1 }).state, "PRIMARY");
    }
}
