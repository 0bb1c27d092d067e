//! A host of a segment learns from router advertisements who its router is: with a kernel as the host.

#![allow(clippy::disallowed_methods)] // real kernels need the real clock

use flowgate_tests::lab::judge::Judge;
use flowgate_tests::lab::process::{Process, Scratch};
use flowgate_tests::lab::{FLOWGATE, PATIENCE, binary, enter, eventually};
use flowgate_tests::live::wire::Wire;
use flowgate_tests::test_name;
use nix::sys::signal::Signal;
use stack::io::netns::{has_ipv6, sysctl_write};
use std::path::Path;
use std::time::Instant;

const CONFIG: &str = "[gateway]\nworkers = 1\n[tables]\nflows-v4 = 1024\nflows-v6 = 1024\n\
    [[port]]\nname = \"lan\"\ntype = \"tap\"\naddresses = [\"fe80::1/64\", \"fd00:2::1/64\"]\n\
    router-advertisements = true\nra-interval = 4\n";

fn start(scratch: &Scratch) -> Process {
    let text = format!("{CONFIG}[control]\nsocket = {:?}\n", scratch.path("s"));
    let config = scratch.write("flowgate.toml", &text);
    let args = ["run", "--config", &*config.to_string_lossy()];
    scratch.start(None, binary::flowgate(), &args, &[])
}

#[test]
fn a_host_configures_itself_from_what_it_is_told_and_forgets_a_router_that_ends() {
    let name = test_name!();
    if !enter(name, &[FLOWGATE, "ip"]) || !has_ipv6() {
        return;
    }
    for (key, value) in [("accept_ra", "2"), ("autoconf", "1"), ("accept_dad", "0")] {
        let key = format!("net/ipv6/conf/default/{key}");
        sysctl_write(&key, value).expect("a setting of the kernel's");
    }
    let scratch = Scratch::new();
    let _judge = Judge::new(&scratch).map(|judge| judge.ethernet("lan"));
    let gateway = start(&scratch);
    let ip = |args: &[&str]| {
        let ran = scratch.run(None, Path::new("ip"), args, PATIENCE);
        ran.stdout
    };
    let routes = || ip(&["-6", "route", "show", "dev", "lan"]);
    let addresses = || ip(&["-6", "addr", "show", "dev", "lan"]);
    let told = eventually(|| routes().contains("default via fe80::1 proto ra"));
    assert!(told, "{}\n{}", routes(), gateway.stderr());
    let own = eventually(|| addresses().contains("inet6 fd00:2::"));
    assert!(own && addresses().contains("dynamic"), "{}", addresses());
    assert!(routes().contains("fd00:2::/64 proto"), "{}", routes());

    // The device ends with the gateway; a wire on it hears its last words.
    let wire = Wire::open("rack", "lan").expect("the device");
    gateway.signal(Signal::SIGTERM);
    let ran = gateway.finish(PATIENCE);
    assert!(ran.status.success(), "{}{}", ran.stdout, ran.stderr);
    let mut lifetimes = Vec::new();
    while let Some(frame) = wire.receive(Instant::now()) {
        if frame.get(54) == Some(&134) {
            lifetimes.push(u16::from_be_bytes([frame[60], frame[61]]));
        }
    }
    assert_eq!(lifetimes.last(), Some(&0), "the last one: {lifetimes:?}");
}
