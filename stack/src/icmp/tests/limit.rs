//! Token buckets on virtual time.

use super::*;

/// Messages allowed out of `tries` evenly spread over `ms`.
fn allowed(limit: &mut RateLimit, from_ms: u64, ms: u64, tries: u64) -> u64 {
    (0..tries)
        .filter(|i| limit.allow(from_ms + ms / tries * i + ms % tries * i / tries))
        .count() as u64
}

#[test]
fn c46_in_the_long_run_the_rate_is_kept_whatever_is_asked() {
    for seed in 0..20 {
        let mut limit = RateLimit::new(100, 10, seed);
        let n = allowed(&mut limit, 0, 1_000_000, 1_000_000);
        assert!((98_500..101_500).contains(&n), "seed {seed}: {n}");
    }
}

#[test]
fn a_burst_is_bounded_and_not_always_the_same() {
    let mut sizes = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let mut limit = RateLimit::new(100, 50, seed);
        let n = allowed(&mut limit, 7, 1, 1_000);
        assert!((34..=100).contains(&n), "seed {seed}: {n}");
        sizes.insert(n);
    }
    assert!(sizes.len() > 8, "a prober could count on {sizes:?}");
}

#[test]
fn the_same_seed_gives_the_same_answers() {
    let run = |seed| {
        let mut limit = RateLimit::new(1_000, 5, seed);
        (0..5_000u64)
            .map(|i| limit.allow(i / 2))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn an_empty_bucket_opens_again_and_a_bucket_of_none_never_does() {
    for seed in 0..200 {
        let mut one = RateLimit::new(1, 1, seed);
        assert!(one.allow(0), "seed {seed}");
        assert!(
            (0..400).filter(|&ms| one.allow(ms)).count() <= 2,
            "seed {seed}"
        );
        assert!(one.allow(10_000), "seed {seed}");
        let mut none = RateLimit::new(1_000, 0, seed);
        assert_eq!(allowed(&mut none, 0, 100_000, 1_000), 0);
        let mut still = RateLimit::new(0, 5, seed);
        let first = allowed(&mut still, 0, 1, 100);
        assert!((3..=10).contains(&first));
        assert_eq!(allowed(&mut still, 1, u64::MAX / 2, 100), 0);
    }
}

#[test]
fn time_at_its_extremes_neither_panics_nor_fills_a_bucket_twice() {
    let mut limit = RateLimit::new(u32::MAX, u32::MAX, 3);
    assert!(limit.allow(u64::MAX));
    assert!(limit.allow(0));
    let mut small = RateLimit::new(1_000, 2, 3);
    let first = allowed(&mut small, 5_000, 1, 50);
    assert!(first <= 4);
    assert_eq!(
        allowed(&mut small, 0, 1, 50),
        0,
        "an older clock gives nothing"
    );
}

#[test]
fn classes_do_not_share_and_each_answer_is_counted() {
    let rate = Rate {
        per_second: 1,
        burst: 4,
    };
    let mut limits = Limits::new(
        Rates {
            errors: rate,
            source: rate,
            redirects: rate,
            redirect_again_ms: 0,
            echo: rate,
        },
        9,
    );
    while limits.allow(Class::Unreachable, 0) {}
    for class in [
        Class::TimeExceeded,
        Class::TooBig,
        Class::Param,
        Class::Echo,
        Class::Redirect,
    ] {
        assert!(limits.allow(class, 0), "{class:?} was silenced by another");
    }
    let Count { sent, limited } = limits.count(Class::Unreachable);
    assert!((2..=8).contains(&sent));
    assert_eq!(limited, 1);
    for class in Class::ALL {
        assert!(limits.count(class).sent > 0, "{class:?}");
    }
}

#[test]
fn one_addressee_cannot_use_up_a_class_and_is_counted_when_it_tries() {
    let mut limits = Limits::new(Rates::default(), 11);
    let greedy = IpAddr::V6("2001:db8:bad::1".parse().unwrap());
    let cousin = |i: u32| {
        IpAddr::V6(Ipv6Addr::from_bits(
            (0x2001_0db8_0bad << 80) | u128::from(i),
        ))
    };
    assert_eq!(cousin(1), greedy);
    let taken = (0..10_000)
        .filter(|&i| limits.allow_to(Class::TooBig, cousin(i), 0))
        .count();
    assert!(taken <= 100, "{taken}: a /64 is one addressee");
    let others = (0..40u32).map(|i| IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 + i * 77)));
    let served = others
        .filter(|&to| limits.allow_to(Class::TooBig, to, 0))
        .count();
    assert!(served >= 38, "{served} of 40 others");
    let Count { sent, limited } = limits.count(Class::TooBig);
    assert_eq!((sent + limited, sent), (10_040, (taken + served) as u64));
}

fn host(n: u64) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(
        (0x2001_0db8_0001 << 80) | u128::from(n),
    ))
}

#[test]
fn redirects_leave_a_source_its_errors_and_errors_leave_it_its_redirects() {
    let mut limits = Limits::new(Rates::default(), 12);
    let told = (0..10_000)
        .filter(|&n| limits.allow_redirect(host(1), host(1000 + n), 0))
        .count();
    assert!((20..=100).contains(&told), "{told} redirects to one /64");
    let errors = (0..10_000)
        .filter(|_| limits.allow_to(Class::TimeExceeded, host(1), 0))
        .count();
    assert!((20..=100).contains(&errors), "{errors}: none was used up");
    let mut limits = Limits::new(Rates::default(), 13);
    while limits.allow_to(Class::TimeExceeded, host(1), 0) {}
    assert!(limits.allow_redirect(host(1), host(2), 0));
    let Count { sent, limited } = limits.count(Class::Redirect);
    assert_eq!((sent, limited), (1, 0));
}

#[test]
fn a_host_is_told_of_one_destination_once_a_second_and_of_others_meanwhile() {
    let mut limits = Limits::new(Rates::default(), 14);
    let mut told = |to, about, ms| limits.allow_redirect(host(to), host(about), ms);
    assert!(told(1, 9, 5_000));
    assert!((5_000..6_000).all(|ms| !told(1, 9, ms)));
    assert!(told(1, 8, 5_999), "another destination");
    assert!(told(2, 9, 5_999), "another host");
    assert!(told(1, 9, 6_000));
    assert!(!told(1, 9, 6_999));
}
