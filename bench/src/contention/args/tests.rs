use super::*;

/// Parses `words`, with a folder that can be written to unless they name one.
fn parsed(words: &str) -> Result<Job, Refusal> {
    let here = std::env::temp_dir();
    let out = ["--out".into(), here.into_os_string()];
    let words = words.split_whitespace().map(OsString::from);
    let argv: Vec<OsString> = std::iter::once("contention".into())
        .chain(words)
        .chain(out)
        .collect();
    parse(&argv)
}

fn measured(words: &str) -> Args {
    match parsed(words) {
        Ok(Job::Measure(args)) => args,
        other => panic!("'{words}' gives {other:?}"),
    }
}

fn complaint(words: &str) -> String {
    match parsed(words) {
        Err(Refusal::Wrong(line)) => line,
        other => panic!("'{words}' gives {other:?}"),
    }
}

#[test]
fn without_flags_everything_is_measured_up_to_sixteen_threads() {
    let args = measured("");
    assert_eq!(args.threads, [1, 2, 4, 8, 16]);
    let scene = Scene {
        flows: 10_000,
        nexthops: 1,
        churn: 0,
    };
    assert_eq!((&args.scenes[..], args.runs), (&[scene][..], 3));
    assert_eq!(args.ways.len(), WAYS.len());
}

#[test]
fn threads_are_sorted_and_one_is_always_among_them() {
    assert_eq!(measured("--threads 4,2,4").threads, [1, 2, 4]);
}

#[test]
fn every_number_of_flows_is_measured_with_every_other_number() {
    let scenes = measured("--flows 1,1000000 --nexthops 1,8 --churn 0,200").scenes;
    assert_eq!(scenes.len(), 8);
    let of = |scene: &Scene| (scene.flows, scene.nexthops, scene.churn);
    assert_eq!(of(&scenes[1]), (1, 1, 200));
    assert_eq!(of(&scenes[7]), (1_000_000, 8, 200));
}

#[test]
fn ways_come_in_the_order_of_the_tables() {
    let names = |words: &str| {
        measured(words)
            .ways
            .iter()
            .map(|way| way.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names("--ways dashmap,arc,dashmap"), ["arc", "dashmap"]);
}

#[test]
fn wrong_values_are_refused_in_one_line_that_says_what_would_be_right() {
    let cases = [
        (
            "--threads 0",
            "'0' for '--threads <N,..>': must be a whole number from 1 to 256",
        ),
        ("--threads=", "--threads"),
        ("--threads 1,,2", "must be a whole number from 1 to 256"),
        ("--threads 257", "from 1 to 256"),
        ("--threads two", "from 1 to 256"),
        (
            "--ways arc,mutex",
            "'mutex' for '--ways <WAY,..>': there are: freebsd8, rwlock",
        ),
        ("--ways=", "--ways"),
        ("--flows 0", "from 1 to 67108864"),
        ("--threads 256 --flows 8000000", "would fit"),
        ("--nexthops 65", "from 1 to 64"),
        ("--churn=-1", "from 0 to 100000"),
        ("--churn 200000", "from 0 to 100000"),
        ("--seconds-per-point 0", "from 0.01 to 600"),
        ("--seconds-per-point NaN", "from 0.01 to 600"),
        ("--runs 0", "from 1 to 99"),
        ("--speed 3", "--speed"),
    ];
    for (words, expected) in cases {
        let line = complaint(words);
        assert!(line.contains(expected), "'{words}' says '{line}'");
        assert!(
            line.starts_with("error: ") && !line.contains('\n'),
            "'{words}' says '{line}'"
        );
    }
}

#[test]
fn no_folder_or_one_that_cannot_be_is_refused() {
    let refused = |argv: &[&str]| match parse(&argv.iter().map(OsString::from).collect::<Vec<_>>())
    {
        Err(Refusal::Wrong(line)) => line,
        other => panic!("{argv:?} gives {other:?}"),
    };
    assert!(refused(&["contention"]).contains("--out <DIR>"));
    let line = refused(&["contention", "--out", "/dev/null/here"]);
    assert!(line.contains("'/dev/null/here' must be a folder"), "{line}");
}

#[test]
fn help_is_no_mistake() {
    assert!(matches!(parsed("--help"), Err(Refusal::Told(text)) if text.contains("Examples:")));
}

#[test]
fn the_traced_child_needs_no_folder() {
    let argv = ["contention", "--traced-way", "arc", "--flows", "9"].map(OsString::from);
    assert!(
        matches!(parse(&argv), Ok(Job::Traced { way, scene, .. }) if way.name == "arc" && scene.flows == 9)
    );
}
