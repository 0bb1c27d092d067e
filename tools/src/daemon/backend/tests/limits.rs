//! What is out of bounds is refused whoever calls.

use super::*;

#[test]
fn a_path_s_mtu_and_a_drain_s_deadline_are_checked_whoever_calls() {
    let of = |prefix_text: &str, gateway: &str, mtu| {
        let path = PathSpec {
            mtu: Some(mtu),
            ..via(gateway, None)
        };
        spec_of(prefix(prefix_text), &[path], None)
    };
    for mtu in [0, 1, 20, 67, 65_536, u32::MAX] {
        let (reason, line) = refusal(of("10.0.0.0/8", "192.0.2.11", mtu));
        assert_eq!(reason, Reason::Invalid);
        assert!(line.ends_with("write 68 to 65535 bytes"), "{line}");
    }
    let (_, line) = refusal(of("2001:db8::/32", "fd00:2::11", 1279));
    assert!(line.ends_with("write 1280 to 65535 bytes"), "{line}");
    of("10.0.0.0/8", "192.0.2.11", 68).unwrap();
    of("2001:db8::/32", "fd00:2::11", 1280).unwrap();

    let net = prefix("10.0.0.0/8");
    let (reason, line) = refusal(spec_of(net, &[via("192.0.2.11", Some(1))], Some(60)));
    assert_eq!(reason, Reason::Invalid);
    assert!(line.starts_with("a deadline goes with weight 0"), "{line}");
    spec_of(net, &[via("192.0.2.11", Some(0))], Some(60)).unwrap();
}
