//! Captures over the socket: who follows is told until it leaves, what makes no sense is refused.

use super::*;
use crate::wire::capture::Capture;
use crate::wire::capture::Captured;

fn all() -> Capture {
    Capture {
        all: true,
        ..Capture::default()
    }
}

#[test]
fn what_is_remembered_comes_first_and_ends_where_nothing_is_to_follow() {
    let gateway = Gateway::start(Fake::small());
    let ask = Capture {
        last: true,
        ..Capture::default()
    };
    let mut answers: Vec<Captured> = Vec::new();
    let told = gateway.client().call_more("Capture", &ask, |found, _| {
        answers.push(found);
        true
    });
    told.unwrap();
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].ports.len(), answers[0].records.len()), (2, 2));
    assert_eq!((answers[0].changes.len(), answers[0].missed), (1, 5));
}

#[test]
fn a_client_that_leaves_ends_its_capture_and_the_next_call_of_another_is_served() {
    let gateway = Gateway::start(Fake::small());
    let mut packets = 0;
    let told = gateway
        .client()
        .call_more("Capture", &all(), |found: Captured, _| {
            packets += found.records.len();
            packets < 3
        });
    told.unwrap();
    assert_eq!(packets, 3);
    let status: Value = gateway.client().call("Status", &json!({})).unwrap();
    assert!(status["version"].is_string());
}

#[test]
fn a_capture_takes_more_and_a_filter_that_can_be_read() {
    let gateway = Gateway::start(Fake::small());
    let refused = |ask: Value| match gateway.client().call::<Value>("Capture", &ask) {
        Err(Error::Call(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(json!({})), CallError::ExpectedMore);
    let wrong = refused(json!({"filter": "tcp prt 80"}));
    assert!(wrong.to_string().contains("column 5"), "{wrong}");
    let wrong = refused(json!({"all": true, "sample": 0}));
    assert!(wrong.to_string().contains("1 to 1000000"), "{wrong}");
}

#[test]
fn a_filter_that_names_what_is_not_there_is_refused_with_what_is() {
    let gateway = Gateway::start(Fake::small());
    let told = |filter: &str| {
        let ask = Capture {
            last: true,
            filter: Some(filter.into()),
            ..Capture::default()
        };
        let each = |_: Captured, _: &Value| true;
        let told = gateway.client().call_more("Capture", &ask, each);
        told.map_err(|error| error.to_string())
    };
    assert_eq!(told("on rack and worker 0"), Ok(()));
    for filter in ["on rak", "tcp and not (udp or on rak)"] {
        let wrong = told(filter).unwrap_err();
        assert!(
            wrong.contains("no port is called rak: there are uplink, rack"),
            "{wrong}"
        );
    }
    let wrong = told("worker 4096").unwrap_err();
    assert!(
        wrong.contains("there is no worker 4096: there are 0 to "),
        "{wrong}"
    );
}
