//! Models of threads that claim, replace, renew and free templates of one bucket, in every order (within a bound of
//! preemptions).

use super::{Client, TemplateWriter, Templates, Term};
use crate::hash::TableSecret;
use crate::pin::PinWord;
use loom::thread;
use std::sync::Arc;

/// When templates are old enough to be freed, and their last use.
const NOW: u32 = 1000;
const LONG_AGO: u32 = 10;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// One bucket of two places.
fn table() -> Arc<Templates> {
    Templates::new(2, TableSecret([7; 16]))
}

fn client(n: u8) -> Client {
    Client::new(1, [10, 0, 0, n].into(), 32)
}

fn at(now: u32) -> Term {
    Term {
        timeout: 5,
        since: now,
        now,
    }
}

/// What a flow of a client gets that would choose `choice`; pins below 100 do not hold any more.
fn take(writer: &TemplateWriter, n: u8, choice: u64, now: u32) -> Option<u64> {
    let keeps = |pin: PinWord| pin.0 >= 100;
    let taken = writer.take(&client(n), at(now), PinWord(choice), keeps);
    taken.map(|pin| pin.0)
}

fn peek(table: &Templates, n: u8) -> Option<u64> {
    table.peek(&client(n)).map(|pin| pin.0)
}

/// Client `n` had a template with this pin, whose clock has run out.
fn expired(table: &Arc<Templates>, n: u8, pin: u64) -> TemplateWriter {
    let mut writer = table.writer();
    assert_eq!(take(&writer, n, pin, LONG_AGO), Some(pin));
    table.set_horizon(LONG_AGO + 1);
    writer.sweep(1, LONG_AGO + 2);
    table.set_horizon(NOW);
    writer
}

/// Two flows of client 1 at once, one of them `after` something: they go the same way, and so does the next.
fn agree(table: Arc<Templates>, after: impl FnOnce()) {
    let writer = table.writer();
    let flow = thread::spawn(move || take(&writer, 1, 100, NOW));
    after();
    let a = take(&table.writer(), 1, 101, NOW);
    let b = flow.join().unwrap();
    // While a place is being freed, a bucket of two may have no room for a moment.
    let (a, b) = (a.or(b), b.or(a));
    assert_eq!(a, b, "two flows of one client went two ways");
    assert!(a.is_some() && peek(&table, 1) == a);
}

#[test]
fn loom_flows_of_a_new_client_agree() {
    explore(|| agree(table(), || ()));
}

#[test]
fn loom_flows_of_a_new_client_agree_while_a_lower_place_is_freed() {
    explore(|| {
        let table = table();
        expired(&table, 2, 102);
        let (print, bucket) = table.place_of(&client(2));
        let (place, value) = table.locate(bucket, print).unwrap();
        let sweeper = Arc::clone(&table);
        agree(table, move || {
            sweeper.close(place, value, NOW);
        });
    });
}

#[test]
fn loom_flows_whose_next_hop_died_agree_on_another() {
    explore(|| {
        let table = table();
        take(&table.writer(), 1, 5, NOW);
        agree(table, || ());
    });
}

#[test]
fn loom_a_template_that_a_flow_took_is_not_freed() {
    explore(|| {
        let table = table();
        let mut sweeper = expired(&table, 1, 100);
        let writer = table.writer();
        let flow = thread::spawn(move || take(&writer, 1, 101, NOW));
        sweeper.sweep(1, NOW);
        let went = flow.join().unwrap();
        assert_eq!(
            peek(&table, 1),
            went,
            "the flow's template is another, or gone"
        );
        assert!(went.is_some());
    });
}

#[test]
fn loom_who_comes_too_late_leaves_the_next_client_alone() {
    explore(|| {
        let table = table();
        let mut sweeper = expired(&table, 1, 5);
        let writer = table.writer();
        let late = thread::spawn(move || take(&writer, 1, 101, NOW));
        sweeper.sweep(1, NOW);
        assert_eq!(take(&sweeper, 2, 102, NOW), Some(102));
        assert_eq!(late.join().unwrap(), Some(101));
        assert_eq!((peek(&table, 1), peek(&table, 2)), (Some(101), Some(102)));
    });
}
