//! Transfers of many full-sized segments, both ways, every byte checked.
//!
//! A client sends an order ([`Order::Take`] or [`Order::Give`]) and a length; then the bytes of a fixed
//! pattern flow, and the side that took them in compares each.

use super::plan::BULK_PORT;
use super::segment::Segment;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long either side waits for the other's next byte.
const SILENCE: Duration = Duration::from_secs(10);
const CHUNK: usize = 64 * 1024;
const DONE: u8 = b'.';

/// What a server is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Take in bytes from the client.
    Take = 1,
    /// Give bytes to the client.
    Give = 2,
}

/// The servers. Their threads serve until the process ends, which is when the test does.
#[derive(Debug)]
pub struct BulkServers {
    received: Arc<AtomicU64>,
}

impl BulkServers {
    pub(super) fn start(segment: &Segment) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        for listener in segment
            .servers
            .iter()
            .flat_map(|server| server.listen(BULK_PORT))
        {
            let received = Arc::clone(&received);
            std::thread::spawn(move || accept(&listener, &received));
        }
        Self { received }
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, received: &Arc<AtomicU64>) {
    while let Ok((stream, _)) = listener.accept() {
        let received = Arc::clone(received);
        std::thread::spawn(move || {
            // A failed transfer is the client's to report: it misses the final byte.
            if let Ok(len) = serve(stream) {
                received.fetch_add(len, Ordering::Relaxed);
            }
        });
    }
}

/// Serves one order; says how many bytes came in.
fn serve(mut stream: TcpStream) -> io::Result<u64> {
    limit(&stream)?;
    let mut order = [0; 9];
    stream.read_exact(&mut order)?;
    let len = u64::from_be_bytes(*order.last_chunk().expect("eight bytes"));
    if order[0] == Order::Give as u8 {
        return give(&mut stream, len).map(|()| 0);
    }
    take(&mut stream, len)?;
    stream.write_all(&[DONE])?;
    Ok(len)
}

/// Sends `len` bytes to a server; it found every byte right.
///
/// # Errors
/// The connection failed, or the server gave up because a byte was wrong.
pub fn upload(server: IpAddr, len: u64) -> io::Result<()> {
    let mut stream = order(server, Order::Take, len)?;
    give(&mut stream, len)?;
    let mut done = [0];
    stream.read_exact(&mut done)?;
    if done == [DONE] {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Fetches `len` bytes from a server and finds every byte right.
///
/// # Errors
/// The connection failed, or a byte was wrong.
pub fn download(server: IpAddr, len: u64) -> io::Result<()> {
    take(&mut order(server, Order::Give, len)?, len)
}

fn order(server: IpAddr, order: Order, len: u64) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(server, BULK_PORT), SILENCE)?;
    limit(&stream)?;
    stream.write_all(&[&[order as u8][..], &len.to_be_bytes()].concat())?;
    Ok(stream)
}

fn limit(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))
}

/// The byte at a place of the stream; a segment lost, doubled or shifted shows.
fn pattern(at: u64) -> u8 {
    (at ^ (at >> 8).wrapping_mul(31)) as u8
}

fn give(stream: &mut TcpStream, len: u64) -> io::Result<()> {
    let mut at = 0;
    while at < len {
        let end = len.min(at + CHUNK as u64);
        stream.write_all(&(at..end).map(pattern).collect::<Vec<_>>())?;
        at = end;
    }
    Ok(())
}

fn take(stream: &mut TcpStream, len: u64) -> io::Result<()> {
    let mut room = vec![0; CHUNK];
    let mut at = 0;
    while at < len {
        let most = usize::try_from(len - at).map_or(CHUNK, |left| left.min(CHUNK));
        let got = stream.read(&mut room[..most])?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !room[..got]
            .iter()
            .zip(at..)
            .all(|(&byte, at)| byte == pattern(at))
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a wrong byte"));
        }
        at += got as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn a_byte_out_of_place_is_found() {
        for (len, shift, good) in [(100_000, 0, true), (100_000, 1, false), (0, 0, true)] {
            let (mut client, mut server) = pair();
            let sender = std::thread::spawn(move || {
                let bytes: Vec<u8> = (shift..shift + len).map(pattern).collect();
                let _ = client.write_all(&bytes);
                client
            });
            assert_eq!(take(&mut server, len).is_ok(), good, "shifted by {shift}");
            sender.join().unwrap();
        }
    }

    #[test]
    fn a_transfer_cut_short_is_an_error() {
        let (mut client, mut server) = pair();
        give(&mut client, 10).unwrap();
        drop(client);
        assert!(take(&mut server, 11).is_err());
    }
}
