//! A thread enters the sandbox and tries: what is needed works, and nothing else does.
//!
//! All three layers hold for a thread and those that it starts, so a thread of the test is as good as a process of its own,
//! and the others of this process are left as they are.

use super::*;
use crate::testing::Directory;
use nix::errno::Errno;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::socket;
use std::fs;
use std::io;
use std::path::Path;

/// Enters the sandbox in a thread of its own and does something there.
fn inside<T: Send>(needs: &Needs, act: impl FnOnce(String) -> T + Send) -> T {
    let entered = || act(enter(needs));
    std::thread::scope(|scope| scope.spawn(entered).join()).expect("it ends well")
}

fn needs(directory: &Path) -> Needs {
    Needs {
        replaced: vec![directory.join("state")],
        removed: vec![directory.join("run").join("socket")],
        ..Needs::default()
    }
}

fn refused<T>(tried: io::Result<T>, what: &str) {
    let errno = match tried {
        Ok(_) => panic!("{what} was allowed"),
        Err(error) => error.raw_os_error(),
    };
    let denied = [Some(libc::EPERM), Some(libc::EACCES)];
    assert!(denied.contains(&errno), "{what}: {errno:?}");
}

fn status_of_thread(field: &str) -> String {
    // The one file that this test opens before the door is shut is its own thread's.
    let text = fs::read_to_string("/proc/thread-self/status").expect("proc");
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap_or_default().trim().to_owned()
}

#[test]
fn no_right_is_left_but_those_that_are_named() {
    let root =
        caps::has_cap(None, caps::CapSet::Permitted, Capability::CAP_NET_RAW).is_ok_and(|has| has);
    let directory = Directory::new();
    let kept = Needs {
        rights: vec![Capability::CAP_NET_RAW],
        ..needs(&directory)
    };
    inside(&kept, |line| {
        let left = if root { "cap_net_raw" } else { "none" };
        let said = format!("capabilities {left};");
        assert!(line.contains(&said), "{line}");
        let back = caps::set(None, caps::CapSet::Effective, &caps::all());
        assert!(back.is_err(), "rights come back");
    });
    // Others of this process have what they had.
    let has = caps::has_cap(None, caps::CapSet::Permitted, Capability::CAP_NET_RAW);
    assert_eq!(has.ok(), Some(root));
}

#[test]
fn the_state_file_is_replaced_and_the_socket_removed_and_nothing_else_is_touched() {
    let directory = Directory::new();
    let at = directory.to_owned();
    fs::create_dir(at.join("run")).expect("a directory");
    fs::create_dir(at.join("other")).expect("a directory");
    for file in ["state", "run/socket", "run/secret", "other/file"] {
        fs::write(at.join(file), "before").expect("a file");
    }
    let line = inside(&needs(&at), |line| {
        fs::write(at.join("state.new"), "after").expect("the state is written");
        fs::rename(at.join("state.new"), at.join("state")).expect("and put in its place");
        fs::remove_file(at.join("run/socket")).expect("the socket is removed");
        if line.starts_with("on") {
            refused(fs::read("/etc/shadow"), "reading /etc/shadow");
            refused(fs::read("/etc/passwd"), "reading /etc/passwd");
            refused(fs::read_dir("/"), "listing /");
            refused(
                fs::write(at.join("../fg-elsewhere"), "x"),
                "writing elsewhere",
            );
            refused(
                fs::rename(at.join("state"), "/etc/fg-state"),
                "moving it to /etc",
            );
            refused(fs::File::open("/dev/null"), "opening a device");
        }
        line
    });
    assert_eq!(
        fs::read_to_string(at.join("state")).expect("a file"),
        "after"
    );
    assert!(!at.join("run/socket").exists());
    println!("{line}");
}

#[test]
fn no_program_is_started_nobody_is_traced_and_nothing_is_mounted() {
    let directory = Directory::new();
    inside(&needs(&directory), |line| {
        assert!(line.contains("by seccomp"), "{line}");
        refused(
            std::process::Command::new("/bin/true").status(),
            "starting a program",
        );
        let exec = nix::unistd::execv(c"/bin/true", &[c"true"]);
        assert_eq!(exec, Err(Errno::EPERM));
        let fork = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER);
        assert_eq!(fork, Err(Errno::EPERM));
        let mount = nix::mount::mount(
            None::<&str>,
            "/mnt",
            Some("tmpfs"),
            nix::mount::MsFlags::empty(),
            None::<&str>,
        );
        assert_eq!(mount, Err(Errno::EPERM));
        let kill = nix::sys::signal::kill(nix::unistd::Pid::this(), None);
        assert_eq!(kill, Err(Errno::EPERM));
        let fresh = nix::sys::memfd::memfd_create(c"x", nix::sys::memfd::MFdFlags::empty());
        assert_eq!(fresh.map(drop), Err(Errno::EPERM));
    });
}

#[test]
fn only_sockets_of_the_families_that_are_named_are_made() {
    let directory = Directory::new();
    let make = |family| {
        let made = socket(family, SockType::Datagram, SockFlag::empty(), None);
        made.map(drop)
    };
    let with = Needs {
        sockets: vec![libc::AF_NETLINK],
        ..needs(&directory)
    };
    inside(&with, |_| {
        let raw = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::empty(),
            None,
        );
        assert!(raw.is_ok(), "{raw:?}");
        for other in [
            AddressFamily::Inet,
            AddressFamily::Unix,
            AddressFamily::Packet,
        ] {
            assert_eq!(make(other), Err(Errno::EPERM), "{other:?}");
        }
    });
    inside(&needs(&directory), |_| {
        assert_eq!(make(AddressFamily::Netlink), Err(Errno::EPERM));
        std::os::unix::net::UnixStream::pair().expect("a pair of sockets wakes the server");
    });
}

#[test]
fn threads_that_are_started_inside_are_inside() {
    let directory = Directory::new();
    let before = status_of_thread("Seccomp:");
    inside(&needs(&directory), |_| {
        let inner = std::thread::Builder::new().name("inner".into()).spawn(|| {
            refused(fs::read("/etc/passwd"), "reading /etc/passwd");
            assert_eq!(
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET),
                Err(Errno::EPERM)
            );
            vec![0u8; 64 << 20].len()
        });
        assert_eq!(
            inner.expect("a thread").join().expect("it ends well"),
            64 << 20
        );
    });
    assert_eq!(status_of_thread("Seccomp:"), before, "nobody else is");
}
