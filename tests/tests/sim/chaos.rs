//! Chaos: networks of chance for hours of virtual time (`tests/src/chaos`). `FLOWGATE_CHAOS=100/2` plays 100 seeds for
//! two hours each, `FLOWGATE_CHAOS=@17/2` seed 17 alone.

use flowgate_tests::chaos::{Chaos, Plan};

#[test]
fn whatever_happens_books_balance_tables_keep_their_limits_and_nobody_moves_without_a_reason() {
    let plan = Plan::from_env(&[1, 2, 3, 4, 5, 7, 8, 11], 0.1);
    let (mut moves, mut frames) = (0, 0);
    for seed in &plan.seeds {
        let outcome = Chaos::new(*seed).run(plan.hours);
        println!("seed {seed}: {outcome:?}");
        assert!(outcome.frames > outcome.events, "seed {seed}: {outcome:?}");
        moves += outcome.moves;
        frames += outcome.frames;
    }
    // Flows do move for reasons, or the judge has nothing to judge.
    let judged = moves > 0 || plan.seeds.len() < 8;
    assert!(judged, "{frames} frames, no flow moved");
}

#[test]
fn one_seed_is_one_history() {
    let (one, other) = (Chaos::new(9).run(0.02), Chaos::new(9).run(0.02));
    assert_eq!(one, other);
    assert_ne!(one, Chaos::new(10).run(0.02));
}
