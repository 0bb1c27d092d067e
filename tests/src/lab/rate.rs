//! Connections opened at a steady rate from many client addresses: each asks one echo and is closed.

use super::PATIENCE;
use super::echo::{REPLY, REQUEST, server_of};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

/// What became of them.
#[derive(Debug, Default)]
pub struct Opened {
    /// How many were answered, by server.
    pub by_server: BTreeMap<usize, u64>,
    /// How the others failed.
    pub failures: Vec<String>,
    /// How long all took.
    pub took: Duration,
}

impl Opened {
    /// How many were answered.
    pub fn answered(&self) -> u64 {
        self.by_server.values().sum()
    }
}

/// Opens `each` connections from each of the clients, a thread a client, `rate` a second in all and no faster.
///
/// # Panics
/// A thread did.
pub fn open(service: SocketAddrV4, clients: &[Ipv4Addr], each: u32, rate: u32) -> Opened {
    let pace = Duration::from_secs(1) * clients.len() as u32 / rate;
    let start = Instant::now();
    let one = |client| move || of_client(client, service, each, pace);
    let mut all = Opened::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = clients.iter().map(|at| scope.spawn(one(*at))).collect();
        for thread in threads {
            let part = thread.join().expect("a client's thread");
            all.failures.extend(part.failures);
            for (server, count) in part.by_server {
                *all.by_server.entry(server).or_default() += count;
            }
        }
    });
    all.took = start.elapsed();
    all
}

fn of_client(client: Ipv4Addr, service: SocketAddrV4, each: u32, pace: Duration) -> Opened {
    let mut opened = Opened::default();
    let start = Instant::now();
    for number in 0..each {
        // Who is late makes up for it.
        std::thread::sleep((pace * number).saturating_sub(start.elapsed()));
        match ask_from(client, service) {
            Ok(server) => *opened.by_server.entry(server).or_default() += 1,
            Err(error) => opened
                .failures
                .push(format!("{client}, number {number}: {error}")),
        }
    }
    opened
}

/// The number of the server that answers a fresh connection from this address.
fn ask_from(client: Ipv4Addr, service: SocketAddrV4) -> io::Result<usize> {
    let fd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    use std::os::fd::AsRawFd;
    setsockopt(
        &fd,
        sockopt::SendTimeout,
        &TimeVal::new(PATIENCE.as_secs() as i64, 0),
    )?;
    bind(
        fd.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(client, 0)),
    )?;
    connect(fd.as_raw_fd(), &SockaddrIn::from(service))?;
    let mut stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[1; REQUEST])?;
    let mut reply = [0; REPLY];
    stream.read_exact(&mut reply)?;
    Ok(server_of(&reply))
}
