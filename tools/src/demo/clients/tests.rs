//! The clients against a plain echo server on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::*;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A server of one thread a connection; `serve` gets each stream and its number.
fn server(serve: impl Fn(TcpStream, usize) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind((LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let (serve, stream) = (serve.clone(), stream.unwrap());
            std::thread::spawn(move || serve(stream, n));
        }
    });
    addr
}

/// Answers each line by what `name` gives for its number.
fn echo(stream: TcpStream, name: impl Fn(usize) -> String) {
    let mut out = stream.try_clone().unwrap();
    for (n, line) in BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .enumerate()
    {
        if writeln!(out, "{} {line}", name(n)).is_err() {
            return;
        }
    }
}

fn start(service: SocketAddr, count: usize) -> (Clients, Vec<ConnId>) {
    let clients = Clients::start(Clock::start()).unwrap();
    let ids = clients
        .open(vec![
            Route {
                source: LOCALHOST,
                service
            };
            count
        ])
        .unwrap();
    (clients, ids)
}

/// Looks until `enough` holds, and gives that look.
fn until(clients: &Clients, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
    for _ in 0..2000 {
        let seen = clients.look(false).unwrap();
        if enough(&seen) {
            return seen;
        }
        rest();
    }
    panic!("it never came to pass: {:?}", clients.look(false));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kernel's sockets need real time"
)]
fn rest() {
    std::thread::sleep(Duration::from_millis(5));
}

fn broken(seen: &[Seen]) -> bool {
    seen.iter().all(|s| s.broken.is_some())
}

#[test]
fn many_connections_are_kept_busy_and_know_their_server() {
    let service = server(|stream, n| echo(stream, |_| format!("srv{}", n % 2 + 1)));
    let (clients, ids) = start(service, 40);
    let seen = until(&clients, |seen| seen.iter().all(|s| s.answers >= 4));
    assert_eq!(seen.iter().map(|s| s.id).collect::<Vec<_>>(), ids);
    assert!(
        seen.iter()
            .all(|s| s.broken.is_none() && s.service == service)
    );
    let first = seen
        .iter()
        .filter(|s| s.server.as_deref() == Some("srv1"))
        .count();
    assert_eq!(first, 20);
}

#[test]
fn an_answer_by_another_server_breaks_the_connection() {
    let service = server(|stream, _| echo(stream, |n| format!("srv{}", n / 2 + 1)));
    let (clients, _) = start(service, 1);
    let seen = until(&clients, broken);
    assert_eq!(seen[0].broken, Some(Break::OtherServer("srv2".into())));
    assert_eq!(
        (seen[0].answers, seen[0].server.as_deref()),
        (2, Some("srv1"))
    );
}

#[test]
fn a_closed_connection_and_a_garbled_answer_are_told_apart() {
    let service = server(|mut stream, n| {
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        if n == 1 {
            writeln!(stream, "srv1 c1 7").unwrap();
            rest();
        }
    });
    let (clients, _) = start(service, 2);
    let seen = until(&clients, broken);
    assert_eq!(seen[0].broken, Some(Break::Closed));
    assert_eq!(seen[1].broken, Some(Break::Garbled("srv1 c1 7".into())));
}

#[test]
fn a_refused_connection_is_a_reset() {
    let free = TcpListener::bind((LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let (clients, _) = start(free, 1);
    assert_eq!(until(&clients, broken)[0].broken, Some(Break::Reset));
}

#[test]
fn a_reset_in_the_middle_is_a_reset() {
    let service = server(|stream, _| {
        // Closing with unread bytes makes the kernel answer with a reset.
        let _ = stream.peek(&mut [0]);
    });
    let (clients, _) = start(service, 1);
    assert_eq!(until(&clients, broken)[0].broken, Some(Break::Reset));
}

#[test]
fn a_server_that_does_not_answer_is_a_stall_after_three_seconds() {
    let service = server(|stream, _| {
        let _ = BufReader::new(stream).lines().count();
    });
    let (clients, _) = start(service, 1);
    let seen = until(&clients, broken);
    assert_eq!(seen[0].broken, Some(Break::Stalled));
    assert!(seen[0].slowest_ms >= conn::STALL_MS);
}

#[test]
fn a_paused_connection_is_silent_and_goes_on_where_it_was() {
    let service = server(|stream, _| echo(stream, |_| "srv1".into()));
    let (clients, ids) = start(service, 2);
    until(&clients, |seen| seen.iter().all(|s| s.answers >= 2));
    clients.set_paused(vec![ids[0]], true).unwrap();
    let silent = until(&clients, |seen| seen[0].is_silent)[0].answers;
    let seen = until(&clients, |seen| seen[1].answers >= silent + 5);
    assert_eq!(seen[0].answers, silent);
    clients.set_paused(vec![ids[0]], false).unwrap();
    until(&clients, |seen| seen[0].answers > silent);
}

#[test]
fn closed_connections_are_forgotten_and_their_ids_not_used_again() {
    let service = server(|stream, _| echo(stream, |_| "srv1".into()));
    let (clients, ids) = start(service, 2);
    clients.close(vec![ids[0]]).unwrap();
    let more = clients
        .open(vec![Route {
            source: LOCALHOST,
            service,
        }])
        .unwrap();
    let seen = until(&clients, |seen| seen.iter().all(|s| s.answers > 0));
    assert_eq!(
        seen.iter().map(|s| s.id).collect::<Vec<_>>(),
        [ids[1], more[0]]
    );
    assert!(!ids.contains(&more[0]));
}

#[test]
fn a_mark_begins_a_new_measurement_of_the_slowest_answer() {
    let service = server(|stream, _| {
        echo(stream, |n| {
            (0..if n == 0 { 40 } else { 0 }).for_each(|_| rest());
            "srv1".into()
        })
    });
    let (clients, ids) = start(service, 1);
    let first = until(&clients, |seen| seen[0].answers >= 1);
    assert!(first[0].slowest_ms >= 200, "{first:?}");
    clients.set_paused(ids, true).unwrap();
    until(&clients, |seen| seen[0].is_silent);
    clients.look(true).unwrap();
    assert_eq!(clients.look(false).unwrap()[0].slowest_ms, 0);
}

#[test]
fn a_source_address_that_is_not_ours_is_refused_at_once() {
    let clients = Clients::start(Clock::start()).unwrap();
    let route = Route {
        source: "192.0.2.99".parse().unwrap(),
        service: (LOCALHOST, 9).into(),
    };
    assert!(clients.open(vec![route]).is_err());
}
