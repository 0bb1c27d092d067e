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
