//! Whatever a program at the socket answers, the client says so in one line.

use super::*;
use serde_json::json;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;

/// A program that reads one message's worth and answers with these bytes.
fn against(answer: &'static [u8]) -> Result<Value, Error> {
    let directory = crate::testing::Directory::new();
    let path = directory.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let program = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 64];
        assert!(stream.read(&mut asked).unwrap() > 0);
        stream.write_all(answer).unwrap();
        // It goes on: whose socket is served has not ended.
        listener
    });
    let outcome = Client::connect(&path).unwrap().call("Status", &json!({}));
    program.join().unwrap();
    outcome
}

#[test]
fn an_answer_is_read() {
    assert_eq!(
        against(b"{\"parameters\":{\"a\":1}}\0").unwrap(),
        json!({"a": 1})
    );
    assert_eq!(against(b"{}\0").unwrap(), Value::Null);
}

#[test]
fn a_message_of_ours_that_is_too_long_is_the_callers_fault() {
    let directory = crate::testing::Directory::new();
    let path = directory.join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let mut client = Client::connect(&path).unwrap();
    let long = json!({"a": "x".repeat(1 << 20)});
    let error = client.call::<Value>("RouteAdd", &long).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("the command makes a message longer than 1048576 bytes"),
        "{told}"
    );
    let failure = crate::cli::exit::Failure::from(error);
    assert_eq!(failure.exit(), crate::cli::exit::Exit::Usage);
    let name = failure
        .call_error()
        .map(|error| crate::wire::message::Reply::from(&error));
    assert!(format!("{name:?}").contains("Invalid"), "{name:?}");
}

#[test]
fn a_refusal_is_told() {
    let error = against(
        b"{\"error\":\"org.flowgate.NotFound\",\"parameters\":{\"message\":\"not in table\"}}\0",
    );
    assert_eq!(error.unwrap_err().to_string(), "not in table");
}

#[test]
fn what_no_flowgate_would_answer_is_an_error() {
    let answers: [&[u8]; 6] = [
        b"",
        b"{\"parameters\"",
        b"HTTP/1.1 200 OK\r\n\r\n\0",
        b"{\"continues\":7}\0",
        b"\0",
        b"\xff\xfe\0",
    ];
    for answer in answers {
        let error = against(answer).unwrap_err();
        assert!(
            matches!(error, Error::Protocol { .. }),
            "{answer:?}: {error}"
        );
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}

#[test]
fn a_gateway_that_ends_is_said_to_have_ended() {
    // Between two answers, within one, and before the first.
    for (answers, serves) in [
        (&b"{\"continues\":true,\"parameters\":{}}\0"[..], true),
        (b"{\"continues\":true,\"parameters\":{}}\0{\"para", false),
        (b"", false),
    ] {
        let directory = crate::testing::Directory::new();
        let path = directory.join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = Client::connect(&path).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let listener = serves.then_some(listener);
        stream.write_all(answers).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let each = |_: Value, _: &Value| true;
        let error = client.call_more("Capture", &json!({}), each).unwrap_err();
        assert!(matches!(&error, Error::Ended(_)), "{error:?}");
        assert!(error.to_string().ends_with("has ended"), "{error}");
        drop(listener);
    }
}

#[test]
fn a_gateway_that_says_nothing_is_not_waited_for() {
    let directory = crate::testing::Directory::new();
    let path = directory.join("s");
    // It accepts by its backlog, as the socket of a stopped process does.
    let _listener = UnixListener::bind(&path).unwrap();
    let mut client = Client::connect(&path).unwrap();
    client.patience(Some(Duration::from_millis(50))).unwrap();
    let error = client.call::<Value>("Status", &json!({})).unwrap_err();
    assert!(
        matches!(&error, Error::Call(CallError::Refused(Reason::Busy, _))),
        "{error:?}"
    );
    let path = path.display();
    assert_eq!(
        error.to_string(),
        format!(
            "no answer in time: the flowgate at {path} has said nothing for 0.05 s: it is busy or stopped; try again"
        )
    );
}

#[test]
fn every_message_of_a_stream_renews_the_patience() {
    let directory = crate::testing::Directory::new();
    let path = directory.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let (told, tells) = std::sync::mpsc::channel();
    let program = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for _ in 0..3 {
            stream
                .write_all(b"{\"parameters\":{},\"continues\":true}\0")
                .unwrap();
            tells.recv().unwrap();
        }
        // Held open, and silent, until the client has given up.
        let _ = tells.recv();
    });
    let mut client = Client::connect(&path).unwrap();
    client.patience(Some(Duration::from_millis(200))).unwrap();
    let mut count = 0;
    let ended = client.call_more("RouteList", &json!({}), |_: Value, _| {
        count += 1;
        told.send(()).is_ok()
    });
    let silent = matches!(ended, Err(Error::Call(CallError::Refused(Reason::Busy, _))));
    assert_eq!((count, silent), (3, true));
    drop(told);
    program.join().unwrap();
}

#[test]
fn nobody_at_the_socket_is_told_with_the_remedy() {
    let error = Client::connect(Path::new("no/such.sock"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no flowgate answers at no/such.sock: start one with 'flowgate run --config FILE', \
         or name its socket with --socket PATH or FLOWGATE_SOCKET"
    );
}
