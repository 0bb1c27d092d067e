//! What is told of the flows that were to move, while they do: moved, silent, called back, stayed.

use super::*;
use route::Failback;

#[test]
fn what_moves_for_another_cause_is_told_apart_and_what_stays_silent_expires() {
    let mut t = theatre(702, &[0, 1, 2]);
    let host = host(Family::V4);
    t.flows.truncate(150);
    let of =
        |t: &Theatre, server| t.pins[..150].iter().filter(|p| **p == Some(server)).count() as u64;
    let (with_0, with_1) = (of(&t, 0), of(&t, 1));
    t.scene.declare(1, true);
    let plan = t.plan(&delete(&host, Some(0)));
    assert_eq!((plan.flows, plan.already_due), (with_0, with_1));
    let plan = t.plan(&delete(&host, Some(1)));
    assert_eq!(
        (plan.flows, plan.already_due),
        (0, with_1),
        "the dead one's would move anyway"
    );

    let forecast = t.forecast(&delete(&host, Some(0))).expect("a plan");
    t.commit(&delete(&host, Some(0))).expect("a delete");
    let obeyed = t.scene.net.sim.gateway.control.obeyed();
    let (now, subject) = (t.scene.net.sim.now, forecast.subject());
    t.log
        .add("delete", subject, 1, forecast.follow(obeyed), now);
    t.scene.net.step_ms = 10_000;
    t.scene.net.run_for(500_000);
    let end = t.log.look(t.scene.net.sim.now).pop().expect("a change");
    assert_eq!(sums(&end), (with_0, 0, with_0, 0), "expired unmoved");
    t.scene.finish();
}

#[test]
fn flows_that_are_called_back_are_not_the_change_s() {
    let mut t = theatre(705, &[0, 1, 2]);
    let host = host(Family::V4);
    let calling = RouteSpec {
        options: OptionsAsked {
            failback: Some(Failback::Return),
            ..OptionsAsked::default()
        },
        ..evenly(&host, &[0, 1, 2])
    };
    t.change(calling);
    t.scene.declare(1, true);
    t.send_all();
    t.scene.declare(1, false);
    let order = delete(&host, Some(0));
    let plan = t.plan(&order);
    t.send_all();
    let failed_back = t.scene.net.totals().moved_for(MoveReason::Failback);
    assert!(
        failed_back > 20 && plan.already_due == failed_back,
        "{plan:?}"
    );
    let plan = t.play(&order, "once they are back").expect("a delete");
    assert_eq!((plan.already_due, plan.flows > 20), (0, true), "{plan:?}");
    t.scene.finish();
}

#[test]
fn flows_whose_next_hop_comes_back_in_time_have_stayed() {
    let mut t = theatre(703, &[0, 1, 2]);
    let host = host(Family::V4);
    // Elsewhere it goes on, so that it is the same next hop when it comes back.
    t.add(evenly("198.51.100.0/24", &[0]));
    let order = delete(&host, Some(0));
    let forecast = t.forecast(&order).expect("a plan");
    let due = forecast.due();
    t.commit(&order).expect("a delete");
    let obeyed = t.scene.net.sim.gateway.control.obeyed();
    t.scene.net.settle();
    let now = t.scene.net.sim.now;
    let subject = forecast.subject();
    t.log
        .add("delete", subject, 1, forecast.follow(obeyed), now);
    t.commit(&RouteOrder::Add(evenly(&host, &[0])))
        .expect("an add");
    t.send_all();
    let end = t.log.look(t.scene.net.sim.now).pop().expect("a change");
    let stayed: u64 = end.rows.iter().map(|row| row.stayed).sum();
    assert!(due > 20 && stayed == due, "{end:?}");
    t.scene.net.assert_moves(&[]);
    t.scene.finish();
}

#[test]
fn rates_are_what_was_sent_between_two_looks() {
    let mut t = theatre(704, &[0, 1]);
    let order = delete(&host(Family::V4), Some(1));
    let mut forecast = t.forecast(&order).expect("a plan");
    assert_eq!(forecast.plan().bytes_per_s, None);
    // 12 bytes of text with UDP's and IPv4's headers; the counter's unit is 16 bytes.
    (0..16).for_each(|_| t.send_all());
    forecast.measure(500, t.scene.net.sim.now);
    let plan = forecast.plan();
    assert_eq!(plan.bytes_per_s, Some(plan.flows * 16 * 40 * 2), "{plan:?}");
    t.scene.finish();
}
