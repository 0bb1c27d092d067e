//! `Ping`: one answer a request, and an end however its client ends.

use super::*;
use crate::wire::ping::PingOutcome;
use crate::wire::ping::PingResult;
use std::sync::Arc;

/// The pings under way end soon: their threads need a moment to notice.
fn assert_none_left(pings: &Arc<()>, gateway: &Gateway) {
    for _ in 0..20_000 {
        // The gateway's own handle, and the test's.
        if Arc::strong_count(pings) == 2 {
            return;
        }
        gateway.assert_alive();
    }
    panic!("a ping outlives its client");
}

#[test]
fn each_request_is_one_answer_and_the_last_ends_the_call() {
    let gateway = Gateway::start(Fake::small());
    let mut client = gateway.client();
    let mut ends = Vec::new();
    let take = |result: PingResult, _: &Value| {
        ends.push((result.sequence, result.outcome));
        true
    };
    let ask = json!({"address": "192.0.2.11", "count": 4});
    client.call_more("Ping", &ask, take).unwrap();
    let reply = PingOutcome::Reply;
    let expected = [
        (0, reply),
        (1, reply),
        (2, PingOutcome::Timeout),
        (3, reply),
    ];
    assert_eq!(ends, expected);
    // The connection goes on, and one request needs no `more`.
    let one: PingResult = client
        .call("Ping", &json!({"address": "192.0.2.11", "count": 1}))
        .unwrap();
    assert_eq!(
        (one.bytes, one.rtt, one.ttl),
        (Some(64), Some(100), Some(64))
    );
    let two = client.call::<PingResult>("Ping", &json!({"address": "192.0.2.11", "count": 2}));
    assert!(matches!(two, Err(Error::Call(CallError::ExpectedMore))));
}

#[test]
fn wrong_values_are_refused_before_anything_is_sent() {
    let gateway = Gateway::start(Fake::small());
    let mut client = gateway.client();
    let mut wrong = |ask: Value| refused(client.call::<PingResult>("Ping", &ask));
    let (reason, message) = wrong(json!({"address": "192.0.2.11", "count": 0}));
    assert_eq!(reason, Reason::Invalid);
    assert!(message.starts_with("count 0: "), "{message}");
    let (reason, _) = wrong(json!({"address": "198.51.100.1", "count": 1}));
    assert_eq!(reason, Reason::Unreachable);
}

#[test]
fn a_client_that_leaves_in_the_middle_ends_its_ping() {
    let fake = Fake::small();
    let pings = Arc::clone(&fake.pings);
    let gateway = Gateway::start(fake);
    let mut client = gateway.client();
    let mut seen = 0;
    let take = |_: PingResult, _: &Value| {
        seen += 1;
        seen < 3
    };
    client
        .call_more("Ping", &json!({"address": "192.0.2.11"}), take)
        .unwrap();
    assert_eq!(Arc::strong_count(&pings), 3);
    drop(client);
    assert_none_left(&pings, &gateway);
    // Nor does it need anything to be told of, to be noticed.
    let mut silent = UnixStream::connect(&gateway.path).unwrap();
    silent
        .write_all(b"{\"method\":\"org.flowgate.Ping\",\"parameters\":{\"address\":\"192.0.2.99\"},\"more\":true}\0")
        .unwrap();
    while Arc::strong_count(&pings) == 2 {
        gateway.assert_alive();
    }
    drop(silent);
    assert_none_left(&pings, &gateway);
}
