//! Destinations as FreeBSD's route(8) takes them, and masks.

use super::*;

#[test]
fn default_has_no_other_length() {
    assert_eq!(
        bad("add default -netmask 255.0.0.0 192.0.2.1"),
        "default has the length 0: leave -netmask 255.0.0.0 out, or write the network"
    );
    assert_eq!(
        bad("add -prefixlen 8 default 192.0.2.1"),
        "default has the length 0: leave -prefixlen 8 out, or write the network"
    );
    assert_eq!(
        bad("add -host default 192.0.2.1"),
        "default is no host: leave -host out"
    );
    for line in [
        "add default -netmask 0.0.0.0 192.0.2.1",
        "add -net default -prefixlen 0 192.0.2.1",
        "add -net 0.0.0.0 -netmask 0x0 192.0.2.1",
        "add 0/0 192.0.2.1",
    ] {
        assert_eq!(added(line).0, "0.0.0.0/0", "{line}");
    }
}

#[test]
fn a_mask_is_of_its_destinations_family() {
    assert_eq!(
        bad("add 2000:: -netmask 255.0.0.0 fd00::1"),
        "-netmask 255.0.0.0 is an IPv4 mask, and 2000:: an IPv6 address: write 2000::/LEN"
    );
    assert_eq!(
        bad("add -net 10.0.0.0 -netmask ff00:: 192.0.2.1"),
        "-netmask ff00:: is an IPv6 mask, and 10.0.0.0 an IPv4 address: write 10.0.0.0/LEN"
    );
    assert_eq!(
        bad("add default -netmask 0.0.0.0 fd00::1"),
        "-netmask 0.0.0.0 is an IPv4 mask, and default is ::/0 here: leave it out"
    );
    assert_eq!(
        bad("add 2001:db8:: -netmask ffff:0:ffff:: fd00::1"),
        "-netmask ffff:0:ffff::: write a contiguous mask, such as 255.255.255.0 or ffff:ffff::"
    );
    let (destination, _) = added("add 2001:db8:: -netmask ffff:ffff:: fd00::1");
    assert_eq!(destination, "2001:db8::/32");
}

#[test]
fn networks_may_be_written_short_where_their_length_is_told() {
    for (line, destination) in [
        ("add -net 10 192.0.2.1", "10.0.0.0/8"),
        ("add -net 10.1 192.0.2.1", "10.1.0.0/16"),
        ("add -net 192.168.5 192.0.2.1", "192.168.5.0/24"),
        ("add 10.1/16 192.0.2.1", "10.1.0.0/16"),
        ("add -net 10/8 192.0.2.1", "10.0.0.0/8"),
        ("add 192.168.64/20 192.0.2.1", "192.168.64.0/20"),
        ("add -net 10.1 -netmask 0xffff0000 192.0.2.1", "10.1.0.0/16"),
        ("add -net 10.1 -prefixlen 16 192.0.2.1", "10.1.0.0/16"),
    ] {
        assert_eq!(added(line).0, destination, "{line}");
    }
    // What more than one network could be meant by, and numbers that another reader takes as octal.
    for line in [
        "add 10 192.0.2.1",
        "add 10.1 192.0.2.1",
        "add 10.1 -netmask 255.255.0.0 192.0.2.1",
        "add -net 10.1.0 192.0.2.1",
        "add -net 10.0.0.0 192.0.2.1",
        "add -net 010.1 192.0.2.1",
        "add -net 256 192.0.2.1",
        "add -net 10. 192.0.2.1",
        "add 10.1/8 192.0.2.1",
        "add 10.1/33 192.0.2.1",
        "add -host 10.1 192.0.2.1",
        "add -net 10 -netmask 0xfg 192.0.2.1",
        "add -net 10 -netmask 0xff00ff00 192.0.2.1",
    ] {
        assert!(!bad(line).is_empty(), "{line}");
    }
}

#[test]
fn a_host_that_looks_like_a_network_is_noted() {
    let note = |line: &str| parse(Words::of(line)).unwrap().note;
    assert_eq!(
        note("add 192.168.5.0 192.0.2.1").as_deref(),
        Some("192.168.5.0 is a host route; for the network write 192.168.5.0/24")
    );
    for line in [
        "add -host 192.168.5.0 192.0.2.1",
        "add 192.168.5.0/32 192.0.2.1",
        "add 192.168.5.0 -prefixlen 32 192.0.2.1",
        "add 192.168.5.1 192.0.2.1",
        "add 192.168.5.0/24 192.0.2.1",
        "add 2001:db8:: fd00::1",
        "delete 192.168.5.0",
    ] {
        assert_eq!(note(line), None, "{line}");
    }
}
