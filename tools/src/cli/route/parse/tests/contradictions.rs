//! Words that contradict each other, or that a command would not heed: none of them is thrown away without a word.

use super::*;

#[test]
fn a_delete_heeds_every_word_or_refuses_it() {
    assert_eq!(
        bad("delete 203.0.113.0/24 192.0.2.11 -deadline 5"),
        "delete takes no -deadline, it deletes at once; to drain first: \
         route change 203.0.113.0/24 192.0.2.11 -weight 0 -deadline 5"
    );
    assert_eq!(
        bad("delete -deadline 5 203.0.113.0/24"),
        "delete takes no -deadline, it deletes at once; to drain first: \
         route change 203.0.113.0/24 GATEWAY -weight 0 -deadline 5"
    );
    for (line, word) in [
        ("delete 10.0.0.0/8 -blackhole", "-blackhole"),
        ("del 10.0.0.0/8 -reject", "-reject"),
        ("delete -reject 10.0.0.0/8 127.0.0.1", "-reject"),
    ] {
        let verb = line.split(' ').next().unwrap_or_default();
        let wanted = format!("{verb} takes no {word}: it is about a route of whatever kind");
        assert_eq!(bad(line), wanted, "{line}");
    }
    let nowhere = "-iface needs a port: write -iface PORT";
    assert_eq!(bad("delete 10.0.0.0/8 -iface"), nowhere);
    let of_gateway = "-ifp goes with a gateway: name it";
    assert_eq!(bad("delete 10.0.0.0/8 -ifp rack"), of_gateway);
    assert!(matches!(
        good("delete 10.0.0.0/8 -iface rack"),
        Command::Delete(..)
    ));
}

#[test]
fn kinds_and_deadlines_are_no_filter_of_a_flush() {
    for (verb, words) in [
        ("flush", "-blackhole"),
        ("flush", "-reject"),
        ("flush", "-iface"),
        ("get", "10.0.0.1 -reject"),
        ("show", "-blackhole"),
        ("monitor", "-reject"),
        ("moves", "-blackhole"),
    ] {
        let told = bad(&format!("{verb} {words}"));
        assert!(told.starts_with(&format!("{verb} takes no -")), "{told}");
    }
    for verb in ["flush", "get 10.0.0.1", "show", "monitor", "moves"] {
        let told = bad(&format!("{verb} -deadline 5"));
        assert!(told.ends_with("-deadline: it goes with change"), "{told}");
    }
}

#[test]
fn a_route_is_of_one_kind() {
    for (line, one, other) in [
        (
            "add 10.0.0.0/8 -blackhole -iface rack",
            "-blackhole",
            "-iface",
        ),
        (
            "add 10.0.0.0/8 -iface rack -blackhole",
            "-iface",
            "-blackhole",
        ),
        ("add 10.0.0.0/8 -reject -blackhole", "-reject", "-blackhole"),
        ("change 10.0.0.0/8 -iface r0 -reject", "-iface", "-reject"),
    ] {
        let wanted = format!("{one} and {other}: a route is of one kind, say one of them");
        assert_eq!(bad(line), wanted, "{line}");
    }
    assert_eq!(
        bad("add 10.0.0.1 -net -host 192.0.2.1"),
        "-net and -host: a destination is one of them"
    );
    let (_, paths) = added("add 10.0.0.0/8 -blackhole -blackhole");
    assert_eq!(paths[0].kind, PathKind::Blackhole);
}

#[test]
fn a_fib_and_a_length_are_said_once_or_the_same_again() {
    for line in [
        "-fib 1 add -fib 0 10.0.0.0/8 192.0.2.1",
        "-fib 1 -fib 0 show",
        "-fib 1 load -fib 0 FILE",
        "-fib 1 export -fib 0",
    ] {
        assert_eq!(bad(line), "-fib 1 and -fib 0: name one FIB", "{line}");
    }
    assert_eq!(good("-fib 3 load -fib 3 FILE"), good("load FILE -fib 3"));
    assert_eq!(
        bad("add -net 10.0.0.0 -prefixlen 16 -netmask 255.0.0.0 192.0.2.1"),
        "-prefixlen 16 and -netmask 255.0.0.0 are different lengths: say one"
    );
    let (destination, _) = added("add -net 10.0.0.0 -prefixlen 8 -netmask 255.0.0.0 192.0.2.1");
    assert_eq!(destination, "10.0.0.0/8");
    assert_eq!(
        bad("add -host 10.0.0.0 -netmask 255.0.0.0 192.0.2.1"),
        "-host 10.0.0.0 is one address: leave -netmask 255.0.0.0 out"
    );
}
