//! Bounds of what a caller may ask of a route, the same for the command line, the configuration and the socket.

use super::route::Family;
use super::route::PathSpec;
use route::Prefix;

/// The least MTU of a link that carries IPv6 (RFC 8200 section 5).
pub const MIN_MTU_V6: u32 = 1280;

/// The greatest MTU: a packet's length has 16 bits.
pub const MAX_MTU: u32 = 65_535;

/// Checks a deadline: it ends a drain.
///
/// # Errors
/// One line, when no path has weight 0.
pub fn check_deadline(deadline: Option<u32>, paths: &[PathSpec]) -> Result<(), String> {
    if deadline.is_some() && paths.iter().all(|path| path.weight != Some(0)) {
        return Err(
            "a deadline goes with weight 0, which drains: -weight 0 -deadline SECONDS".into(),
        );
    }
    Ok(())
}

/// Checks a path's MTU. RFC 791 wants 68 bytes of every link, RFC 8200 section 5 wants 1280 for IPv6.
///
/// # Errors
/// One line that says what would be right.
pub fn check_mtu(destination: Prefix, mtu: Option<u32>) -> Result<(), String> {
    let least = match Family::of(destination.addr()) {
        Family::Inet => 68,
        Family::Inet6 => MIN_MTU_V6,
    };
    match mtu {
        Some(mtu) if !(least..=MAX_MTU).contains(&mtu) => Err(format!(
            "mtu {mtu} is out of range for {destination}: write {least} to {MAX_MTU} bytes"
        )),
        _ => Ok(()),
    }
}

/// Checks the MTU of an IPv4 route's IPv6 gateways: IPv6 routes by the same next hop share it.
///
/// # Errors
/// One line that says what would be right.
pub fn check_shared_mtu(paths: &[PathSpec], mtu: Option<u32>) -> Result<(), String> {
    let mut gateways = paths.iter().filter_map(|path| path.gateway);
    match (mtu, gateways.find(std::net::IpAddr::is_ipv6)) {
        (Some(mtu), Some(gateway)) if mtu < MIN_MTU_V6 => Err(format!(
            "mtu {mtu} is out of range for the IPv6 gateway {gateway}: write {MIN_MTU_V6} to {MAX_MTU} bytes"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_gateway_has_the_bounds_of_ipv6_whatever_goes_there() {
        let path = |gateway: &str| PathSpec {
            gateway: gateway.parse().ok(),
            ..PathSpec::default()
        };
        let paths = [path("10.0.0.1"), path("fe80::1")];
        assert_eq!(
            check_shared_mtu(&paths, Some(576)).unwrap_err(),
            "mtu 576 is out of range for the IPv6 gateway fe80::1: write 1280 to 65535 bytes"
        );
        assert_eq!(check_shared_mtu(&paths, Some(1280)), Ok(()));
        assert_eq!(check_shared_mtu(&paths[..1], Some(576)), Ok(()));
        assert_eq!(check_shared_mtu(&paths, None), Ok(()));
    }

    #[test]
    fn mtus_have_the_bounds_of_their_family() {
        let check = |prefix: &str, mtu| check_mtu(prefix.parse().unwrap(), Some(mtu));
        for (prefix, least) in [("10.0.0.0/8", 68), ("2001:db8::/32", 1280)] {
            for mtu in [0, 1, least - 1, 65_536, u32::MAX] {
                assert_eq!(
                    check(prefix, mtu).unwrap_err(),
                    format!("mtu {mtu} is out of range for {prefix}: write {least} to 65535 bytes")
                );
            }
            assert_eq!(check(prefix, least), Ok(()));
            assert_eq!(check(prefix, 65_535), Ok(()));
        }
        assert_eq!(check_mtu("::/0".parse().unwrap(), None), Ok(()));
    }
}
