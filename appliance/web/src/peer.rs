//! Where a request comes from: the address of the peer, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};

use axum::{extract::ConnectInfo, http::Extensions, http::HeaderMap};
use ipnet::IpNet;

/// Header in which proxies say whom they speak for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that limits, allow-lists and the audit log go by. Of `X-Forwarded-For` only what trusted proxies wrote is believed: the last
/// address that is not one of theirs.
pub(crate) fn peer(extensions: &Extensions, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let direct = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    // Without a listener (tests of the router alone) there is no peer: it is nobody's address.
    let Some(direct) = direct else { return IpAddr::from([0, 0, 0, 0]) };
    let trusted = |ip: &IpAddr| proxies.iter().any(|net| net.contains(ip));
    if !trusted(&direct) {
        return direct;
    }
    let lines = headers.get_all(FORWARDED_FOR).into_iter().filter_map(|value| value.to_str().ok());
    let said: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let mut last = direct;
    for text in said.into_iter().rev() {
        let Ok(ip) = text.parse::<IpAddr>() else { return last };
        last = ip.to_canonical();
        if !trusted(&last) {
            return last;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn of(direct: &str, said: &[&str]) -> String {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(direct.parse().unwrap(), 1)));
        let mut headers = HeaderMap::new();
        for line in said {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        peer(&extensions, &headers, &["10.0.0.0/8".parse().unwrap()]).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(of("192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
        assert_eq!(of("10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4", "what the client wrote itself is not believed");
        assert_eq!(of("10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.0.0.2"]), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["rubbish"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("::ffff:192.0.2.1", &[]), "192.0.2.1");
    }
}
