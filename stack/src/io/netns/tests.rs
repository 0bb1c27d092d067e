//! What needs no rights, and what runs in a namespace of its own.

use super::*;

#[test]
fn the_descriptor_limit_becomes_the_highest_allowed() {
    let raised = raise_fd_limit();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!((raised, soft), (hard, hard));
}

#[test]
fn settings_outside_the_settings_are_refused() {
    for path in ["/etc/passwd", "../../etc/passwd", "net/../../etc/passwd"] {
        let error = sysctl_write(path, "1").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path}");
    }
}

#[test]
fn a_refused_setting_is_named() {
    let error = sysctl_write("net/ipv4/no_such_setting", "1").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot set net/ipv4/no_such_setting to '1':"),
        "{error}"
    );
    let error = sysctl_read("net/ipv4/no_such_setting").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_process_with_threads_is_told_to_make_its_namespace_first() {
    // libtest itself runs threads.
    assert_eq!(enter_private(), Err(NetnsError::Threads));
}

#[test]
fn a_child_namespace_has_its_own_interfaces_and_settings() {
    let test = "io::netns::tests::a_child_namespace_has_its_own_interfaces_and_settings";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let setting = "net/ipv4/ip_forward";
    sysctl_write(setting, "0").unwrap();
    let netns = new_child_netns_thread(|| {
        sysctl_write(setting, "1").unwrap();
        Netlink::open().unwrap().veth("a", "b").unwrap();
        current_netns().unwrap()
    })
    .unwrap();
    assert_eq!(
        sysctl_read(setting).unwrap(),
        "0",
        "each thread sees its own namespace"
    );
    let ours = Netlink::open().unwrap();
    assert_eq!(ours.link_index("a").unwrap_err().errno, Errno::ENODEV);
    let theirs = thread_in_netns(&netns, || {
        (
            sysctl_read(setting).unwrap(),
            Netlink::open().unwrap().link_index("a").is_ok(),
        )
    });
    assert_eq!(
        theirs.unwrap(),
        ("1".to_owned(), true),
        "the descriptor keeps it alive"
    );
}

#[test]
fn a_child_namespace_can_reach_itself_at_once() {
    let test = "io::netns::tests::a_child_namespace_can_reach_itself_at_once";
    if !in_child_namespace(test).is_inside() {
        return;
    }
    let reach = |addr: &str| {
        let socket = std::net::UdpSocket::bind((addr, 0))?;
        socket.send_to(b"x", socket.local_addr()?)
    };
    new_child_netns_thread(|| {
        reach("127.0.0.1").unwrap();
        if has_ipv6() {
            reach("::1").unwrap();
        }
    })
    .unwrap();
}

#[test]
#[should_panic(expected = "there is no test named")]
fn a_name_that_no_test_has_does_not_pass() {
    // A machine without namespaces skips before it can tell.
    let run = in_child_namespace("io::netns::tests::a_name_that_no_test_has");
    assert!(
        !matches!(run, ChildRun::Skipped(_)),
        "there is no test named so, and it was skipped"
    );
}
