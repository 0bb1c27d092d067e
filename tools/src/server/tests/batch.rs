//! Batches over a real socket: they belong to their connection, and what is wrong with a piece ends them.

use super::*;
use crate::wire::batch::BatchAdded;
use crate::wire::batch::BatchBegun;
use crate::wire::batch::BatchDone;
use crate::wire::batch::Exported;

fn begin(client: &mut Client) -> Result<u64, Error> {
    let begun: BatchBegun = client.call("RouteBatchBegin", &json!({"replace": ["inet"]}))?;
    Ok(begun.batch)
}

fn piece(batch: u64, routes: &str) -> Value {
    let sets = json!([{"paths": [{"gateway": "192.0.2.13"}]}]);
    json!({"batch": batch, "sets": sets, "routes": routes})
}

#[test]
fn a_batch_is_gathered_in_pieces_and_committed_with_its_progress() {
    let gateway = Gateway::start(Fake::small());
    let mut client = gateway.client();
    let batch = begin(&mut client).unwrap();
    for (at, routes) in [(1, "10.0.0.0/8=0"), (3, "9.0.0.0/8 11.0.0.0/8=1")] {
        let added: BatchAdded = client.call("RouteBatchAdd", &piece(batch, routes)).unwrap();
        assert_eq!(added.routes, at);
    }
    let mut told = Vec::new();
    let commit = json!({"batch": batch});
    client
        .call_more("RouteBatchCommit", &commit, |done: BatchDone, _| {
            told.push(done);
            true
        })
        .unwrap();
    assert_eq!((told.len(), told[0].done), (2, 1));
    assert_eq!((told[1].added, told[1].deleted), (3, 1));
    let page: Exported = client.call("RouteExport", &json!({})).unwrap_or_default();
    assert_eq!(page, Exported::default(), "two pages need more");
    let mut routes = Vec::new();
    client
        .call_more("RouteExport", &json!({}), |page: Exported, _| {
            routes.push(page.routes);
            true
        })
        .unwrap();
    assert_eq!(routes.concat(), "9.0.0.0/8=0 10.0.0.0/8=1 11.0.0.0/8=2");
    // It has ended: nothing is left to commit.
    let again = refused(client.call::<BatchDone>("RouteBatchCommit", &commit));
    assert_eq!(again.0, Reason::NotFound);
}

#[test]
fn one_batch_is_gathered_at_a_time_and_ends_with_its_client() {
    let gateway = Gateway::start(Fake::small());
    let mut first = gateway.client();
    let batch = begin(&mut first).unwrap();
    let mut second = gateway.client();
    assert_eq!(refused(begin(&mut second)).0, Reason::Busy);
    let stranger = refused(second.call::<Value>("RouteBatchAdd", &piece(batch, "10.0.0.0/8=0")));
    assert_eq!(stranger.0, Reason::NotFound, "it is the first one's");
    first
        .call::<BatchAdded>("RouteBatchAdd", &piece(batch, "10.0.0.0/8=0"))
        .unwrap();
    drop(first);
    // The server sees that in its own time.
    while begin(&mut second).is_err() {
        std::thread::yield_now();
    }
    let routes: Routes = second.call("RouteList", &json!({})).unwrap();
    assert_eq!(routes.routes.len(), 1, "nothing was committed");
    second
        .call::<Value>("RouteBatchDrop", &json!({"batch": 7}))
        .unwrap();
    begin(&mut gateway.client()).unwrap();
}

#[test]
fn a_wrong_piece_ends_its_batch_with_one_line() {
    let gateway = Gateway::start(Fake::small());
    let mut client = gateway.client();
    for (routes, line) in [
        (
            "10.0.0.0/8",
            "10.0.0.0/8: the first route needs its set: 10.0.0.0/8=0",
        ),
        (
            "10.0.0.1/8=0",
            "10.0.0.1/8 has host bits set: write 10.0.0.0/8",
        ),
        (
            "10.0.0.0/8=1",
            "10.0.0.0/8=1: the batch has no such set: send it first",
        ),
    ] {
        let batch = begin(&mut client).unwrap();
        let wrong = refused(client.call::<Value>("RouteBatchAdd", &piece(batch, routes)));
        assert_eq!(wrong, (Reason::Invalid, line.into()));
        let gone = refused(client.call::<Value>("RouteBatchCommit", &json!({"batch": batch})));
        assert_eq!(gone.0, Reason::NotFound);
    }
    let batch = begin(&mut client).unwrap();
    client
        .call::<Value>(
            "RouteBatchAdd",
            &piece(batch, "10.0.0.0/8=0 11.0.0.0/8 10.0.0.0/8"),
        )
        .unwrap();
    let twice = refused(client.call::<Value>("RouteBatchCommit", &json!({"batch": batch})));
    assert_eq!(
        twice,
        (
            Reason::Invalid,
            "10.0.0.0/8: the batch names it twice".into()
        )
    );
    let many: Vec<String> = (0..1001u32)
        .map(|at| format!("10.0.{}.{}=0", at / 256, at % 256))
        .collect();
    let batch = begin(&mut client).unwrap();
    let full = refused(client.call::<Value>("RouteBatchAdd", &piece(batch, &many.join(" "))));
    assert_eq!(full.0, Reason::TableFull);
    gateway.assert_alive();
}
