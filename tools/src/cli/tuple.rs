//! Ends of a flow as people write them: `10.0.0.1`, `10.0.0.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.

use super::exit::Failure;
use super::exit::usage;
use crate::wire::protocol;
use crate::wire::route::FlowOf;
use crate::wire::route::RouteGet;
use std::net::IpAddr;
use std::net::SocketAddr;

/// Checks a protocol's name or number and gives the name that the wire uses.
pub(crate) fn protocol(word: &str) -> Result<String, Failure> {
    protocol::number(word).map(protocol::name).or_else(usage)
}

/// An address with or without a port.
pub(crate) fn end(word: &str) -> Result<(IpAddr, Option<u16>), Failure> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Ok((address, None));
    }
    match word.parse::<SocketAddr>() {
        Ok(end) => Ok((end.ip(), Some(end.port()))),
        Err(_) => usage(format!(
            "bad address: {word}: write 10.0.0.1, 10.0.0.1:80 or [2001:db8::1]:80"
        )),
    }
}

/// The protocols whose ends have ports.
const WITH_PORTS: [&str; 3] = ["tcp", "udp", "sctp"];

/// An end of a flow. Without brackets `fd99::2:1000` is an address and looks like one with a port: no guess is made.
pub(crate) fn end_of(protocol: &str, word: &str) -> Result<(IpAddr, Option<u16>), Failure> {
    let split = word.rsplit_once(':').filter(|(address, port)| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        is_number && port.parse::<u16>().is_ok() && address.parse::<IpAddr>().is_ok()
    });
    let is_v6 = word
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_ipv6());
    match split.filter(|_| is_v6 && WITH_PORTS.contains(&protocol)) {
        Some((address, port)) => usage(format!(
            "{word} is an address, or {address} with port {port}: write [{address}]:{port}, or [{word}]:0"
        )),
        None => end(word),
    }
}

/// `fe80::1%rack`: a link-local address, and the port that it is on.
fn zoned(word: &str) -> (&str, Option<String>) {
    match word.split_once('%') {
        Some((address, port)) => (address, Some(port.to_owned())),
        None => (word, None),
    }
}

/// What `route get` asks: a destination, with a source and a protocol a whole flow.
pub(crate) fn query(
    protocol_word: Option<&str>,
    source: Option<&str>,
    destination: &str,
) -> Result<RouteGet, Failure> {
    let (destination, port) = zoned(destination);
    let Some(source) = source else {
        let (to, destination_port) = end(destination)?;
        return match (protocol_word, destination_port) {
            (None, None) => Ok(RouteGet {
                port,
                ..RouteGet::to(to)
            }),
            _ => usage("a flow needs both ends: get tcp SRC:PORT DST:PORT"),
        };
    };
    let protocol = protocol(protocol_word.unwrap_or("tcp"))?;
    let (to, destination_port) = end_of(&protocol, destination)?;
    let (source, source_port) = end_of(&protocol, source)?;
    if source.is_ipv4() != to.is_ipv4() {
        return usage(format!("{source} and {to} are of different families"));
    }
    let flow = FlowOf {
        protocol,
        source,
        source_port: source_port.unwrap_or(0),
        destination_port: destination_port.unwrap_or(0),
    };
    Ok(RouteGet {
        port,
        flow: Some(flow),
        ..RouteGet::to(to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_in_every_notation() {
        let v6 = "2001:db8::1".parse().unwrap();
        assert_eq!(end("10.0.0.1").unwrap(), ([10, 0, 0, 1].into(), None));
        assert_eq!(
            end("10.0.0.1:80").unwrap(),
            ([10, 0, 0, 1].into(), Some(80))
        );
        assert_eq!(end("2001:db8::1").unwrap(), (v6, None));
        assert_eq!(end("[2001:db8::1]:80").unwrap(), (v6, Some(80)));
        for bad in [
            "",
            "host",
            "10.0.0.1:",
            "10.0.0.1:65536",
            "[2001:db8::1]",
            "10.0.0",
        ] {
            assert!(end(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn protocols_have_names_and_numbers() {
        assert_eq!(protocol("tcp").unwrap(), "tcp");
        assert_eq!(protocol("6").unwrap(), "tcp");
        assert_eq!(protocol("47").unwrap(), "47");
        assert_eq!(
            protocol("tpc").unwrap_err().to_string(),
            "protocol tpc: write tcp, udp, icmp, icmp6, sctp or a number 0 to 255"
        );
        assert!(protocol("256").is_err());
    }
}
