use super::lines::read_group;
use super::lines::write_group;
use super::*;
use crate::testing::Directory;
use route::NhopKey;
use route::NhopKind;
use route::PortId;
use route::SavedName;
use route::SavedRun;
use stack::ports::Layer;
use stack::ports::Port;

fn ports(names: &[&str]) -> Ports {
    let port = |(id, name): (u16, &&str)| Port {
        id: PortId(id),
        name: (*name).into(),
        layer: Layer::L3,
        mtu: 1500,
        narrowed: None,
        up: true,
        fib: route::FibId(0),
        addrs: Vec::new(),
        rules: Default::default(),
        vlan: None,
    };
    Ports((0..).zip(names).map(port).collect())
}

fn group(port: u16) -> SavedGroup {
    let name = |host: u8, weight| SavedName {
        key: NhopKey {
            kind: NhopKind::Gateway,
            port: PortId(port),
            gateway: Some([192, 0, 2, host].into()),
        },
        weight,
    };
    SavedGroup {
        routes: vec![
            "10.0.0.0/8".parse().unwrap(),
            route::Prefix::masked([10, 1, 0, 0].into(), 16).in_fib(route::FibId(3)),
        ],
        uses: 2,
        options: route::Options {
            slow_start: 9,
            group: Some(route::GroupNo(7)),
            timeouts: "web".parse().unwrap(),
            ..route::Options::default()
        },
        names: vec![name(1, Some(3)), name(2, Some(1)), name(3, None)],
        runs: vec![
            SavedRun {
                buckets: 3,
                claims: vec![0, 2],
                owner: Some(0),
                remembered: vec![(1, 77)],
            },
            SavedRun {
                buckets: 1,
                claims: vec![1],
                owner: None,
                remembered: Vec::new(),
            },
        ],
    }
}

#[test]
fn a_writing_that_fails_leaves_nothing_beside_the_file() {
    let directory = Directory::new();
    let file = directory.join("state");
    let job = Job {
        groups: vec![group(0)],
        ports: ports(&["uplink"]),
    };
    // It is written whole, and cannot take the place of a directory.
    std::fs::create_dir(&file).unwrap();
    assert!(write(&file, &job, true));
    assert!(!with_ending(&file, NEW).exists());
}

#[test]
fn a_full_disk_needs_room_and_not_another_mode() {
    let of = |code| remedy(&io::Error::from_raw_os_error(code));
    assert_eq!(of(libc::ENOSPC), "make room on the disk");
    assert_eq!(of(libc::EDQUOT), "make room on the disk");
    assert_eq!(of(libc::EACCES), "make the directory writable");
}

#[test]
fn a_group_is_read_as_it_was_written_by_the_names_of_ports() {
    assert!(group(1).is_whole());
    let line = write_group(&group(1), &ports(&["uplink", "rack"]));
    assert_eq!(read_group(&line, &ports(&["uplink", "rack"])), Ok(group(1)));
    assert_eq!(read_group(&line, &ports(&["rack", "uplink"])), Ok(group(0)));
    // By a port that is no more no route can lead.
    let lost = read_group(&line, &ports(&["uplink"])).unwrap();
    assert!(lost.is_whole() && lost.names.iter().all(|n| n.key.port.0 > 1000));
    assert!(read_group(&line[1..], &ports(&["rack"])).is_err());
}

#[test]
fn a_recursive_next_hop_is_named_by_the_fib_that_resolves_it() {
    let mut saved = group(1);
    let far = NhopKey::recursive(route::FibId(3), [172, 16, 0, 1].into());
    saved.names[0].key = far;
    let line = write_group(&saved, &ports(&["uplink", "rack"]));
    assert_eq!(read_group(&line, &ports(&["uplink", "rack"])), Ok(saved));
    // Nor is a port that is no more mistaken for one.
    let lost = read_group(&line, &ports(&["uplink"])).unwrap();
    let found = lost
        .names
        .iter()
        .filter(|name| name.key.resolved().is_some());
    assert_eq!(found.count(), 1);
}

fn job(groups: Vec<SavedGroup>) -> Job {
    Job {
        groups,
        ports: ports(&["uplink", "rack"]),
    }
}

#[test]
fn a_file_is_whole_or_it_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let (file, ports) = (directory.join("state"), ports(&["uplink", "rack"]));
    assert_eq!(read(&file, &ports), Ok(None));
    replace(&file, &job(vec![group(1), group(0)])).unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (groups, elapsed) = read(&file, &ports).unwrap().unwrap();
    assert_eq!(groups, [group(1), group(0)]);
    assert!(elapsed < 60);
    let text = fs::read_to_string(&file).unwrap();
    for cut in 0..text.len() - 1 {
        fs::write(&file, &text[..cut]).unwrap();
        assert!(read(&file, &ports).is_err(), "{cut} bytes were read");
    }
    fs::write(
        &file,
        text.replace("flowgate-groups\":1", "flowgate-groups\":2"),
    )
    .unwrap();
    assert!(read(&file, &ports).is_err());
    assert!(read(Path::new("/dev/zero"), &ports).is_err());
    assert!(read(&directory, &ports).is_err());
}

#[test]
fn what_cannot_be_written_is_told_once_and_harms_nothing() {
    let directory = Directory::new();
    let file = directory.join("nowhere/state");
    assert!(write(&file, &job(vec![group(1)]), false));
    assert!(write(&file, &job(vec![group(1)]), true));
    assert!(!write(&directory.join("state"), &job(vec![group(1)]), true));
}

#[test]
fn a_file_that_has_another_use_is_refused_or_left_alone() {
    let dir = std::env::temp_dir().join(format!("flowgate-state-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let config = file("gateway.toml", "[[port]]");
    let others = [(&*config, "the configuration")];
    let refused = |path: &Path| super::check(path, &others).unwrap_err();
    let by_another_name = dir.join("..").join(dir.file_name().unwrap());
    assert!(refused(&config).contains("that is the configuration"));
    assert!(refused(&by_another_name.join("gateway.toml")).contains("the configuration"));
    assert!(refused(&dir).contains("a directory"));
    assert!(refused(Path::new("/dev/null")).contains("no regular file"));
    assert!(refused(&dir.join("none/state")).contains("there is no directory"));
    assert_eq!(super::check(&dir.join("state"), &others), Ok(()));
    assert!(super::is_ours(&dir.join("state")), "it is not there yet");
    assert!(super::is_ours(&file("empty", "")));
    assert!(super::is_ours(&file("kept", &Head::now(3).text())));
    assert!(!super::is_ours(&file("victim", "dear diary")));
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_is_one_gateways_for_as_long_as_that_runs() {
    let directory = crate::testing::Directory::new();
    let file = directory.join("flowgate.state");
    let held = alone(&file).unwrap();
    assert!(held.is_some());
    let refused = alone(&file).unwrap_err();
    assert!(
        refused.contains("another gateway keeps its groups there"),
        "{refused}"
    );
    assert_eq!(refused.lines().count(), 1);
    // That of another file is another's.
    assert!(alone(&directory.join("other.state")).unwrap().is_some());
    drop(held);
    assert!(alone(&file).unwrap().is_some());
    // Where none can be made.
    assert!(
        alone(&directory.join("none/flowgate.state"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_is_in_the_place_of_the_lock_or_of_the_new_file_is_told_and_not_touched() {
    let directory = Directory::new();
    let (file, other) = (directory.join("state"), directory.join("other"));
    fs::write(&other, "of somebody else").unwrap();
    for ending in [LOCK, NEW] {
        let beside = with_ending(&file, ending);
        let told = |what: &str| {
            let line = check(&file, &[]).unwrap_err();
            assert!(line.contains(&format!("is {what}, and")), "{line}");
            assert!(line.contains("state-file in [state]"), "{line}");
            if ending == LOCK {
                assert_eq!(alone(&file).unwrap_err(), line);
            } else {
                assert!(replace(&file, &job(vec![group(1)])).is_err());
            }
        };
        std::os::unix::fs::symlink(&other, &beside).unwrap();
        told("a symbolic link");
        fs::remove_file(&beside).unwrap();
        std::os::unix::fs::symlink(directory.join("nobody"), &beside).unwrap();
        told("a symbolic link");
        assert!(!directory.join("nobody").exists());
        fs::remove_file(&beside).unwrap();
        fs::create_dir(&beside).unwrap();
        told("a directory");
        fs::remove_dir(&beside).unwrap();
        nix::unistd::mkfifo(&beside, nix::sys::stat::Mode::S_IRWXU).unwrap();
        told("a device, a pipe or a socket");
        fs::remove_file(&beside).unwrap();
    }
    assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody else");
    check(&file, &[]).unwrap();
    assert!(alone(&file).unwrap().is_some());
}
