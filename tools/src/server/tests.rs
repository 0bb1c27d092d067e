//! The server over real sockets: its calls, its limits, and what broken or hostile clients cannot do.

use super::control;
use super::fake::Fake;
use super::fake::gateway;
use super::fake::prefix;
use super::*;
use crate::client::Client;
use crate::client::Error;
use crate::testing::Directory;
use crate::wire::MESSAGE_LIMIT;
use crate::wire::flow::Flows;
use crate::wire::idl::METHODS;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route::*;
use serde_json::Value;
use serde_json::json;
use stack::io::wake::Waker;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;

mod batch;
mod capture;
mod ping;

/// A served fake gateway.
pub(crate) struct Gateway {
    pub(crate) path: PathBuf,
    _directory: Directory,
    server: Option<Server>,
    control: control::Handle,
    thread: Option<JoinHandle<Fake>>,
}

impl Gateway {
    pub(crate) fn start(fake: Fake) -> Self {
        let directory = Directory::new();
        let path = directory.join("flowgate.sock");
        let (control, thread) = control::spawn(fake, Waker::new().unwrap()).unwrap();
        let spec = SocketSpec {
            path: path.clone(),
            group: None,
        };
        let server = Server::start(&spec, control.clone()).unwrap();
        Self {
            path,
            _directory: directory,
            server: Some(server),
            control,
            thread: Some(thread),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.path).unwrap()
    }

    /// Sends bytes as they are, closes that side, and returns all that comes back.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        // The server may have answered and closed before it has taken all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn assert_alive(&self) {
        let status: Value = self.client().call("Status", &json!({})).unwrap();
        assert_eq!(status["pid"], 42);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        assert!(!self.path.exists(), "the socket's file is left behind");
    }
}

fn refused(outcome: Result<impl std::fmt::Debug, Error>) -> (Reason, String) {
    match outcome.unwrap_err() {
        Error::Call(CallError::Refused(reason, message)) => (reason, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_is_added_listed_and_deleted() {
    let gateway_ = Gateway::start(Fake::small());
    let mut client = gateway_.client();
    let add = RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix("10.0.0.0/8"),
        paths: vec![gateway("192.0.2.13", 1)],
    };
    let done: RouteDone = client.call("RouteAdd", &add).unwrap();
    assert_eq!(done.paths[0].name(), "192.0.2.13");
    let again = refused(client.call::<RouteDone>("RouteAdd", &add));
    assert_eq!(
        again,
        (Reason::AlreadyExists, "route already in table".into())
    );
    let routes: Routes = client.call("RouteList", &json!({})).unwrap();
    assert_eq!(routes.routes.len(), 2);
    let delete = json!({"destination": "10.0.0.0/8"});
    client.call::<RouteDone>("RouteDelete", &delete).unwrap();
    let again = refused(client.call::<RouteDone>("RouteDelete", &delete));
    assert_eq!(again, (Reason::NotFound, "not in table".into()));
}

#[test]
fn every_described_method_is_served() {
    let gateway = Gateway::start(Fake::small());
    for name in METHODS {
        let mut client = gateway.client();
        let outcome = client
            .call::<Value>(name, &json!({"surely_unknown": 1}))
            .unwrap_err();
        match outcome {
            Error::Call(CallError::InvalidParameter { .. }) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    let unknown = gateway
        .client()
        .call::<Value>("NoSuchThing", &json!({}))
        .unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "no method org.flowgate.NoSuchThing: see docs/CONTROL.md"
    );
}

#[test]
fn varlinks_own_methods_are_served() {
    let gateway = Gateway::start(Fake::small());
    let info = gateway.raw(b"{\"method\":\"org.varlink.service.GetInfo\"}\0");
    assert!(
        info.contains(r#""interfaces":["org.varlink.service","org.flowgate"]"#),
        "{info}"
    );
    let text = gateway.raw(
        b"{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.flowgate\"}}\0",
    );
    assert!(text.contains("method RouteAdd("), "{text}");
    let other = gateway.raw(b"{\"method\":\"org.example.Hello\"}\0");
    assert!(
        other.contains("org.varlink.service.InterfaceNotFound"),
        "{other}"
    );
}

#[test]
fn lists_of_any_length_come_in_pages() {
    let gateway = Gateway::start(Fake {
        flows: 10_000,
        ..Fake::with_routes(1_000)
    });
    let (mut routes, mut pages) = (Vec::new(), 0);
    let take = |page: Routes, _: &Value| {
        pages += 1;
        routes.extend(page.routes);
        true
    };
    gateway
        .client()
        .call_more("RouteList", &json!({}), take)
        .unwrap();
    assert_eq!((routes.len(), pages), (1_000, 4));
    let hosts: std::collections::HashSet<_> =
        routes.iter().map(|route| route.destination).collect();
    assert_eq!(hosts.len(), 1_000);
    let mut flows = 0;
    let count = |page: Flows, _: &Value| {
        flows += page.flows.len();
        true
    };
    gateway
        .client()
        .call_more("FlowList", &json!({"limit": 9_999}), count)
        .unwrap();
    assert_eq!(flows, 9_999);
    let one = gateway
        .client()
        .call::<Value>("RouteList", &json!({}))
        .unwrap_err();
    assert!(
        matches!(one, Error::Call(CallError::ExpectedMore)),
        "{one:?}"
    );
}

#[test]
fn a_flush_tells_each_route() {
    let gateway = Gateway::start(Fake::with_routes(200));
    let mut deleted = 0;
    let count = |page: Flushed, _: &Value| {
        deleted += page.deleted.len();
        true
    };
    gateway
        .client()
        .call_more("RouteFlush", &json!({}), count)
        .unwrap();
    assert_eq!(deleted, 200);
}

#[test]
fn broken_messages_are_answered_by_one_error_and_harm_nobody() {
    let gateway = Gateway::start(Fake::small());
    let mut other = gateway.client();
    let broken: [&[u8]; 10] = [
        b"\0",
        b"{\0",
        b"null\0",
        b"[]\0",
        b"{\"method\":7}\0",
        b"[\"org.flowgate.Status\",{},false,false]\0",
        b"\xff\xff\0",
        b"{\"method\":\"org.flowgate.Status\"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"{\"method\":\"a.b\",\"more\":\"yes\"}\0",
    ];
    for bytes in broken {
        let answer = gateway.raw(bytes);
        assert!(
            answer.starts_with(r#"{"error":"org.flowgate.Malformed""#),
            "{bytes:?}: {answer}"
        );
        assert_eq!(answer.matches('\0').count(), 1, "{answer}");
        other.call::<Value>("Status", &json!({})).unwrap();
    }
}

#[test]
fn deeply_nested_json_is_an_error_not_a_crash() {
    let gateway = Gateway::start(Fake::small());
    let mut bytes = b"{\"method\":\"org.flowgate.Status\",\"parameters\":".to_vec();
    bytes.extend(std::iter::repeat_n(b'[', 100_000));
    bytes.push(0);
    assert!(gateway.raw(&bytes).contains("org.flowgate.Malformed"));
    gateway.assert_alive();
}

#[test]
fn a_message_of_a_megabyte_and_a_byte_is_refused() {
    let gateway = Gateway::start(Fake::small());
    let mut bytes = vec![b' '; MESSAGE_LIMIT + 1];
    bytes.push(0);
    let answer = gateway.raw(&bytes);
    assert!(
        answer.contains("message longer than 1048576 bytes (1 MiB)"),
        "{answer}"
    );
    let mut call = b"{\"method\":\"org.flowgate.FlowStats\"}".to_vec();
    call.resize(MESSAGE_LIMIT, b' ');
    call.push(0);
    assert!(
        gateway
            .raw(&call)
            .starts_with(r#"{"parameters":{"tables":"#)
    );
}

#[test]
fn random_bytes_never_stop_the_server() {
    let gateway = Gateway::start(Fake::small());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let call = br#"{"method":"org.flowgate.RouteAdd","parameters":{"destination":"10.0.0.0/8","paths":[]}}"#;
    for _ in 0..200 {
        let mut bytes = call.to_vec();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.push(0);
        gateway.raw(&bytes);
    }
    gateway.assert_alive();
}

#[test]
fn wrong_parameters_are_named_and_the_connection_lives_on() {
    let gateway = Gateway::start(Fake::small());
    let mut client = gateway.client();
    let mut wrong = |name: &str, parameters: Value| {
        client
            .call::<Value>(name, &parameters)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        wrong(
            "RouteAdd",
            json!({"destination": "10.0.0.1/8", "paths": []})
        ),
        "destination: 10.0.0.1/8 has host bits set: write 10.0.0.0/8"
    );
    assert!(wrong("RouteAdd", json!({"destination": 5, "paths": []})).starts_with("destination: "));
    assert!(wrong("RouteGet", json!({"destination": "nowhere"})).starts_with("destination: "));
    assert!(wrong("FlowList", json!({"port": 65_536})).starts_with("port: "));
    assert!(wrong("RouteAdd", json!({"paths": []})).starts_with("destination: "));
    client.call::<Value>("Status", &json!({})).unwrap();
}

#[test]
fn calls_may_be_sent_ahead_and_oneway_ones_are_not_answered() {
    let gateway = Gateway::start(Fake::small());
    let answer = gateway.raw(
        b"{\"method\":\"org.flowgate.FlowStats\"}\0\
          {\"method\":\"org.flowgate.FlowFlush\",\"oneway\":true}\0\
          {\"method\":\"org.flowgate.FlowStats\"}\0",
    );
    let used: Vec<Value> = answer
        .split_terminator('\0')
        .map(|text| {
            serde_json::from_str::<Value>(text).unwrap()["parameters"]["tables"][0]["used"].clone()
        })
        .collect();
    assert_eq!(used, [3, 0]);
}

#[test]
fn a_client_too_many_is_told_so() {
    let gateway = Gateway::start(Fake::small());
    let mut held: Vec<Client> = (0..64).map(|_| gateway.client()).collect();
    for client in &mut held {
        client.call::<Value>("Status", &json!({})).unwrap();
    }
    let (reason, message) = refused(gateway.client().call::<Value>("Status", &json!({})));
    assert_eq!(
        (reason, message.as_str()),
        (
            Reason::Busy,
            "64 clients are being served already: try again later"
        )
    );
    held.pop();
    // The thread of the one that left needs a moment to end.
    for _ in 0..1000 {
        if gateway.client().call::<Value>("Status", &json!({})).is_ok() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("the place of a client that left is never free again");
}

#[test]
fn a_client_that_does_not_read_delays_nobody() {
    let gateway = Gateway::start(Fake {
        flows: 100_000,
        ..Fake::small()
    });
    let mut slow = UnixStream::connect(&gateway.path).unwrap();
    slow.write_all(b"{\"method\":\"org.flowgate.FlowList\",\"more\":true}\0")
        .unwrap();
    for _ in 0..50 {
        gateway.assert_alive();
    }
    drop(slow);
}

#[test]
fn a_monitor_sees_what_changes_after_it_began() {
    let gateway_ = Gateway::start(Fake::small());
    let mut monitor = gateway_.client();
    let changer = gateway_.client();
    let add = RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix("10.0.0.0/8"),
        paths: vec![gateway("192.0.2.13", 1)],
    };
    let mut changer = Some((changer, add));
    // The monitor's queue exists before its first event: a helper keeps changing until one is seen.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let helper = std::thread::spawn(move || {
        let (mut client, add) = changer.take().unwrap();
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            client.call::<RouteDone>("RouteAdd", &add).unwrap();
            let delete = json!({"destination": "10.0.0.0/8"});
            client.call::<RouteDone>("RouteDelete", &delete).unwrap();
        }
    });
    let mut seen = Vec::new();
    let take = |event: Event, _: &Value| {
        seen.push(event);
        seen.len() < 3
    };
    monitor.call_more("RouteMonitor", &json!({}), take).unwrap();
    drop(stop);
    helper.join().unwrap();
    let added = seen
        .iter()
        .filter(|event| matches!(event.news, News::RouteAdded(_)))
        .count();
    assert!((1..=2).contains(&added), "{seen:?}");
    assert!(seen.iter().all(|event| event.time > 1_600_000_000_000));
}

#[test]
fn a_stopping_gateway_ends_its_clients_and_removes_its_socket() {
    let gateway = Gateway::start(Fake::small());
    let mut idle = gateway.client();
    idle.call::<Value>("Status", &json!({})).unwrap();
    let path = gateway.path.clone();
    drop(gateway);
    assert!(matches!(
        idle.call::<Value>("Status", &json!({})),
        Err(Error::Ended(_))
    ));
    assert!(matches!(Client::connect(&path), Err(Error::NoDaemon(_))));
}

#[test]
fn the_socket_has_mode_0660_and_is_served_once() {
    let gateway = Gateway::start(Fake::small());
    let mode = std::fs::metadata(&gateway.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let spec = SocketSpec {
        path: gateway.path.clone(),
        group: None,
    };
    let error = Server::start(&spec, gateway.control.clone())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with(&format!(
        "a flowgate already serves {}: ",
        gateway.path.display()
    )));
    gateway.assert_alive();
}

#[test]
fn a_stale_socket_is_replaced_and_another_file_is_not() {
    let directory = Directory::new();
    let path = directory.join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let (control, _thread) = control::spawn(Fake::small(), Waker::new().unwrap()).unwrap();
    let spec = SocketSpec {
        path: path.clone(),
        group: None,
    };
    Server::start(&spec, control.clone()).unwrap().stop();
    std::fs::write(&path, "precious").unwrap();
    let error = Server::start(&spec, control.clone()).unwrap_err();
    assert!(matches!(error, ServeError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    control.stop();
}

#[test]
fn sockets_that_cannot_be_made_are_refused_with_the_remedy() {
    let (control, _thread) = control::spawn(Fake::small(), Waker::new().unwrap()).unwrap();
    let start = |path: &str, group: Option<&str>| {
        let spec = SocketSpec {
            path: path.into(),
            group: group.map(Into::into),
        };
        Server::start(&spec, control.clone())
            .unwrap_err()
            .to_string()
    };
    let long = "x".repeat(108);
    assert!(
        start(&long, None).ends_with("is too long: a Unix socket's path has at most 107 bytes")
    );
    assert!(
        start("no/such/place", None)
            .ends_with("make its directory first, or choose another with --socket")
    );
    assert!(
        start("s", Some("no-such-group"))
            .starts_with("no group no-such-group for the control socket")
    );
    control.stop();
}

#[test]
fn a_monitor_that_does_not_read_is_ended_and_costs_nobody_anything() {
    let (control, thread) = control::spawn(Fake::small(), Waker::new().unwrap()).unwrap();
    let events = control.monitor().unwrap();
    let add = RouteAdd {
        fib: 0,
        options: Default::default(),
        destination: prefix("10.0.0.0/8"),
        paths: vec![gateway("192.0.2.13", 1)],
    };
    let delete = RouteDelete {
        fib: 0,
        destination: prefix("10.0.0.0/8"),
        gateway: None,
        port: None,
    };
    for _ in 0..2_100 {
        let (add, delete) = (add.clone(), delete.clone());
        control
            .call(|backend| backend.route_add(add))
            .unwrap()
            .unwrap();
        control
            .call(|backend| backend.route_delete(delete))
            .unwrap()
            .unwrap();
    }
    assert_eq!(
        events.iter().count(),
        4_096,
        "what fits is kept, then the queue ends"
    );
    control.stop();
    thread.join().unwrap();
    assert!(matches!(
        control.call(|_| ()),
        Err(CallError::Refused(Reason::Stopping, _))
    ));
}

#[test]
fn a_flows_state_is_known_in_any_spelling_or_refused() {
    let gateway = Gateway::start(Fake::small());
    let list = |state: &str| {
        gateway
            .client()
            .call::<Flows>("FlowList", &json!({"state": state}))
    };
    assert_eq!(list("fin-wait").unwrap().flows.len(), 3);
    assert_eq!(list("ESTABLISHED").unwrap().flows.len(), 3);
    let (reason, message) = refused(list("open"));
    assert_eq!(reason, Reason::Invalid);
    assert!(
        message.starts_with("no state open: the states are SYN, SYN_ACK, "),
        "{message}"
    );
}
