use super::*;

#[test]
fn matching_finds_exactly_the_lanes_that_are_equal() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..20_000 {
        // Few values, so that equal, adjacent and borrow-prone lanes all occur.
        let tags: [u16; PLACES] =
            std::array::from_fn(|_| [0, 1, 2, 0x7fff, 0x8000, 0xffff][rng.usize(..6)]);
        let word = |four: &[u16]| {
            four.iter()
                .rev()
                .fold(0_u64, |w, t| w << 16 | u64::from(*t))
        };
        let packed = Tags(std::array::from_fn(|i| word(&tags[4 * i..4 * i + 4])));
        for tag in [0, 1, 2, 0x7fff, 0x8000, 0xffff] {
            let want: Vec<usize> = (0..PLACES).filter(|p| tags[*p] == tag).collect();
            assert_eq!(
                packed.matching(Tag(tag)).collect::<Vec<_>>(),
                want,
                "{tags:x?} {tag:x}"
            );
        }
        assert_eq!(
            packed.used().count(),
            tags.iter().filter(|t| **t != 0).count()
        );
    }
}

#[test]
fn the_other_of_the_other_candidate_is_the_first_for_any_number_of_buckets() {
    let mut rng = fastrand::Rng::with_seed(6);
    for len in [1, 2, 3, 6, 250, 48_828, 1 << 20] {
        let range = Range {
            start: 7 * len,
            len,
        };
        for _ in 0..1000 {
            let hash = FlowHash(rng.u64(..));
            let [a, b] = range.candidates(hash);
            assert!((range.start..range.start + len).contains(&a.0));
            assert!((range.start..range.start + len).contains(&b.0));
            assert_eq!(range.other(a, Tag::of(hash)), b);
            assert_eq!(range.other(b, Tag::of(hash)), a);
        }
    }
}

#[test]
fn second_candidates_are_spread_over_all_buckets() {
    let mut rng = fastrand::Rng::with_seed(7);
    let range = Range { start: 0, len: 100 };
    let mut counts = [0_u32; 100];
    (0..100_000).for_each(|_| counts[range.candidates(FlowHash(rng.u64(..)))[1].0] += 1);
    assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
}

#[test]
fn tags_versions_and_losses_do_not_disturb_each_other() {
    let buckets = Buckets::new(2, Tick(42), &|_| {});
    let (b, other) = (BucketNo(1), BucketNo(0));
    let before = buckets.line(b).version().unwrap();
    buckets.line(b).set_loss(Tick(u32::MAX));
    assert!(buckets.line(b).unchanged(before));
    buckets.line(b).begin();
    assert_eq!(buckets.line(b).version(), None);
    for place in 0..PLACES {
        buckets.line(b).set_tag(place, Tag(100 + place as u16));
        buckets.set_standing(b.place(place), Standing::TwoWay);
    }
    buckets.line(b).end();
    assert!(!buckets.line(b).unchanged(before));
    assert_eq!(buckets.line(b).loss(), Tick(u32::MAX));
    (0..PLACES).for_each(|p| assert_eq!(buckets.line(b).tag(p).0, 100 + p as u16));
    assert_eq!(
        (
            buckets.line(other).loss(),
            buckets.line(other).tags().used().count()
        ),
        (Tick(42), 0)
    );
}

#[test]
fn standings_and_strays_do_not_disturb_each_other() {
    let mut rng = fastrand::Rng::with_seed(8);
    let buckets = Buckets::new(1, Tick(1), &|_| {});
    let bucket = BucketNo(0);
    let (mut all, mut strays) = ([Standing::Probation; PLACES], [0_u64; 4]);
    for _ in 0..20_000 {
        let (place, tag) = (rng.usize(..PLACES), Tag(rng.u16(..)));
        let like = &mut strays[usize::from(tag.0) / 0x4000];
        match rng.u8(..3) {
            0 => {
                all[place] = Standing::ORDER[rng.usize(..4)];
                buckets.set_standing(bucket.place(place), all[place]);
            }
            1 if *like < STRAYS_MAX - 1 => {
                buckets.line(bucket).stray(tag);
                *like += 1;
            }
            2 if *like > 0 => {
                buckets.line(bucket).unstray(tag);
                *like -= 1;
            }
            _ => {}
        }
        let now = buckets.line(bucket).classes();
        assert_eq!(now.has_strays(tag), strays[usize::from(tag.0) / 0x4000] > 0);
        assert_eq!(now.strays(), strays.iter().sum::<u64>());
        for one in Standing::ORDER {
            let want: Vec<usize> = (0..PLACES).filter(|p| all[*p] == one).collect();
            assert_eq!(now.of(one, 0).collect::<Vec<_>>(), want);
        }
    }
}

#[test]
fn too_many_strays_are_strays_for_ever() {
    let buckets = Buckets::new(1, Tick(1), &|_| {});
    let (tag, other) = (Tag(0x8001), Tag(0x7fff));
    (0..=STRAYS_MAX).for_each(|_| buckets.line(BucketNo(0)).stray(tag));
    (0..=STRAYS_MAX).for_each(|_| buckets.line(BucketNo(0)).unstray(tag));
    assert!(buckets.line(BucketNo(0)).classes().has_strays(tag));
    assert!(!buckets.line(BucketNo(0)).classes().has_strays(other));
    assert_eq!(
        buckets
            .line(BucketNo(0))
            .classes()
            .of(Standing::Probation, 0)
            .count(),
        PLACES
    );
}

#[test]
fn places_are_gone_through_from_any_start() {
    let places = Places(0b1000_0000_0000_0010_0100_0001);
    assert_eq!(places.from(0).collect::<Vec<_>>(), [0, 6, 9, 23]);
    assert_eq!(places.from(7).collect::<Vec<_>>(), [9, 23, 0, 6]);
    assert_eq!(places.from(23).collect::<Vec<_>>(), [23, 0, 6, 9]);
}

#[test]
fn a_hash_with_a_zero_tag_still_has_one() {
    assert_eq!(Tag::of(FlowHash(0xffff_0000)), Tag(1));
}
