//! Every vector against a daemon with real TUN and TAP devices.

use flowgate_tests::conform::Vector;
use flowgate_tests::lab::stall::try_again;
use flowgate_tests::lab::{FLOWGATE, binary, enter};
use flowgate_tests::live::flowgate::{Flowgate, quiet_kernel};
use flowgate_tests::live::{Went, play};
use flowgate_tests::test_name;
use std::path::PathBuf;

fn vectors() -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let files = std::fs::read_dir(folder).expect("the vectors");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ends| ends == "txt"));
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a text");
        Vector::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// A vector that holds once holds: a machine that stands still for a moment breaks what is about time, each time otherwise.
fn once_of_three(vector: &Vector) -> Went {
    let went = try_again(3, 5, || {
        let gateway = Flowgate::start(binary::flowgate(), vector)
            .unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        let went = play(vector, &gateway);
        gateway
            .end()
            .unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        match went {
            Went::Failed(what) => Err(what),
            went => Ok(went),
        }
    });
    went.unwrap_or_else(Went::Failed)
}

#[test]
fn every_vector_holds_on_real_devices() {
    if !enter(test_name!(), &[FLOWGATE]) {
        return;
    }
    quiet_kernel().expect("a quiet kernel");
    let (mut held, mut not, mut failed) = (0, Vec::new(), Vec::new());
    for vector in vectors() {
        match once_of_three(&vector) {
            Went::Held => held += 1,
            Went::Not(why) => not.push(format!("{}: {why}", vector.name)),
            Went::Failed(what) => failed.push(format!("{}: {what}", vector.name)),
        }
    }
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    // What no kernel sends, by name, so that none is left out unseen.
    let too_long = "c65_packet_too_big_and_never_cut.whole: the kernel sends no frame of 1501 bytes on such a device";
    assert_eq!(not, [too_long], "cannot be played; {held} held");
    assert!(held > 100, "{held} held");
}
