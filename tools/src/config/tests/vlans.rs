//! VLANs: what they have of their parent, and what only they have.

use super::*;

#[test]
fn a_vlan_has_its_parent_s_name_and_mtu_unless_it_has_its_own() {
    let red = "[[port]]\nname = \"red\"\ntype = \"vlan\"\nparent = \"tap0\"\nvlan = 4094\nmtu = 1400\nredirects = true\n";
    let usual =
        "[[port]]\ntype = \"vlan\"\nparent = \"tap0\"\nvlan = 7\naddresses = [\"fd00::1/64\"]\n";
    let config = good(&format!("{red}{usual}{}", with_tap("")));
    let names: Vec<&str> = config.ports.iter().map(|p| p.name.value.as_str()).collect();
    assert_eq!(names, ["tap0", "red", "tap0.7"], "devices before VLANs");
    let mtus: Vec<u32> = config.ports.iter().map(|p| p.mtu.value).collect();
    assert_eq!(mtus, [1600, 1400, 1600]);
    let of = |port: &Port| {
        port.vlan
            .as_ref()
            .map(|v| (v.parent.value.clone(), v.vid.value))
    };
    let vlans: Vec<_> = config.ports.iter().map(of).collect();
    let tap = |vid| Some(("tap0".to_owned(), vid));
    assert_eq!(vlans, [None, tap(4094), tap(7)]);
    assert!(config.ports[1].rules.redirects);
    assert!(config.ports[0].has_offload() && !config.ports[1].has_offload());
}

#[test]
fn each_wrong_vlan_is_told_in_one_line() {
    let vlan = |keys: &str| with_tap(&format!("[[port]]\nname = \"v\"\ntype = \"vlan\"\n{keys}"));
    let cases = [
        (
            "vlan = 1\n",
            "5: a VLAN without a parent: write parent = \"rack\", say",
        ),
        (
            "parent = \"tap0\"\n",
            "5: a VLAN without a vlan: write vlan = 100, say",
        ),
        (
            "parent = \"tap1\"\nvlan = 1\n",
            "8: parent = \"tap1\": no such port: the ports are tap0",
        ),
        (
            "parent = \"v\"\nvlan = 1\n",
            "8: parent = \"v\": that is a VLAN itself, and frames have one tag here: name its parent",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nmtu = 1601\n",
            "10: mtu = 1601: its parent tap0 takes 1600: write 1600 or less, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nqueues = 1\n",
            "10: queues: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\noffload = \"on\"\n",
            "10: offload: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nmac = \"02:00:00:00:00:01\"\n",
            "10: mac: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\nhost-addresses = [\"192.0.2.5/24\"]\n",
            "10: host-addresses: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 1\npromiscuous = true\n",
            "5: promiscuous: a VLAN has its parent's device: write it for port tap0, or leave it out",
        ),
        (
            "parent = \"tap0\"\nvlan = 9\n[[port]]\nname = \"w\"\ntype = \"vlan\"\nparent = \"tap0\"\nvlan = 9\n",
            "14: vlan = 9: port tap0 has this VLAN already, in line 9: choose another number",
        ),
    ];
    for (keys, line) in cases {
        let line = format!("flowgate.toml:{line}");
        assert_eq!(wrong(&vlan(keys)), [line], "{keys}");
    }
    for vid in ["0", "4095", "-1", "\"x\""] {
        let lines = wrong(&vlan(&format!("parent = \"tap0\"\nvlan = {vid}\n")));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("flowgate.toml:9: vlan = ") && lines[0].contains("4094"),
            "{lines:?}"
        );
    }
    let tun = "[[port]]\nname = \"t\"\ntype = \"tun\"\n[[port]]\ntype = \"vlan\"\nparent = \"t\"\nvlan = 1\n";
    let lines = wrong(tun);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0]
            .starts_with("flowgate.toml:6: parent = \"t\": a TUN's packets have no link header"),
        "{lines:?}"
    );
    let lines = wrong(&with_tap("vlan = 3\n"));
    assert_eq!(
        lines,
        ["flowgate.toml:1: vlan goes with type = \"vlan\": leave it out, or write that"]
    );
}

#[test]
fn a_vlan_that_cannot_be_called_after_its_parent_is_told_so() {
    let long = PORTS.replace("rack", "rack-row-seven");
    let vlan = "[[port]]\ntype = \"vlan\"\nparent = \"rack-row-seven\"\nvlan = 100\n";
    assert_eq!(
        wrong(&format!("{long}{vlan}")),
        [
            "flowgate.toml:5: a VLAN is called after its parent, and \"rack-row-seven.100\" is longer than 15 characters: \
             write name = \"vlan100\", say"
        ]
    );
    good(&format!("{long}{vlan}name = \"vlan100\"\n"));
    let lines = wrong(&format!("{long}{vlan}name = \"rack-row-seven-100\"\n"));
    assert!(lines[0].contains("write 1 to 15 letters"), "{lines:?}");
}
