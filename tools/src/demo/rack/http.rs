//! HTTP as far as a rack server needs it: one request, one answer that names the server.
//!
//! Pure: bytes of a request's head in, bytes of the whole answer out (RFC 9112). The connection is closed
//! after the answer, so nothing of a second request is read.

/// Bytes of a request's head that are accepted; a longer one is answered 431 (RFC 6585).
pub(super) const MAX_HEAD: usize = 8 * 1024;

/// Whether `head` ends with the empty line that ends a request's head.
pub(super) fn is_complete(head: &[u8]) -> bool {
    head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n")
}

/// The answer of the server `name` to a request's `head`.
pub(super) fn respond(head: &[u8], name: &str) -> Vec<u8> {
    let line = head.split(|&b| b == b'\n').next().unwrap_or_default();
    let mut words = line.split(|&b| b == b' ');
    let method = words.next().unwrap_or_default();
    let body = format!("{name}\n");
    match method {
        _ if head.len() > MAX_HEAD => answer("431 Request Header Fields Too Large", name, "", true),
        _ if words.next().is_none() => answer("400 Bad Request", name, "", true),
        b"GET" => answer("200 OK", name, &body, true),
        b"HEAD" => answer("200 OK", name, &body, false),
        _ => answer("405 Method Not Allowed", name, "", true),
    }
}

/// Head and, if `with_body`, body; a HEAD's answer tells the length of the body that it leaves out.
fn answer(status: &str, name: &str, body: &str, with_body: bool) -> Vec<u8> {
    let length = body.len();
    let mut text = format!(
        "HTTP/1.1 {status}\r\nServer: {name}\r\nContent-Type: text/plain\r\n\
         Content-Length: {length}\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n"
    );
    if with_body {
        text.push_str(body);
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(request: &str) -> String {
        String::from_utf8(respond(request.as_bytes(), "srv3")).unwrap()
    }

    #[test]
    fn a_get_is_answered_with_the_servers_name() {
        let answer = text("GET / HTTP/1.1\r\nHost: 203.0.113.10\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("Content-Length: 5\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nsrv3\n"), "{answer}");
    }

    #[test]
    fn a_head_tells_the_length_and_leaves_the_body_out() {
        let answer = text("HEAD / HTTP/1.1\r\n\r\n");
        assert!(answer.contains("Content-Length: 5\r\n") && answer.ends_with("\r\n\r\n"));
    }

    #[test]
    fn other_methods_nonsense_and_too_long_heads_are_refused() {
        assert!(text("POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
        assert!(text("\r\n\r\n").starts_with("HTTP/1.1 400 "));
        assert!(text("").starts_with("HTTP/1.1 400 "));
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        assert!(text(&long).starts_with("HTTP/1.1 431 "));
    }

    #[test]
    fn a_head_is_complete_at_its_empty_line() {
        assert!(is_complete(b"GET / HTTP/1.1\r\n\r\n") && is_complete(b"GET / HTTP/1.0\n\n"));
        assert!(!is_complete(b"GET / HTTP/1.1\r\n") && !is_complete(b""));
    }
}
