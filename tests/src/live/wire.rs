//! One interface of the kernel: what is sent on it reaches the gateway behind it, what the gateway sends comes in by it.

use super::super::lab::sys;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// An interface that is played on.
#[derive(Debug)]
pub struct Wire {
    /// What the vectors call it.
    pub port: &'static str,
    fd: OwnedFd,
    index: u32,
    bare: bool,
}

impl Wire {
    /// Opens `interface` as `port`; `clients` carries bare IP, the others Ethernet.
    ///
    /// # Errors
    /// There is none of that name, or the right to it is missing (CAP_NET_RAW).
    pub fn open(port: &'static str, interface: &str) -> Result<Self, String> {
        let fail = |error: Errno| format!("{interface}: {error}");
        let index = if_nametoindex(interface).map_err(fail)?;
        let fd = sys::packet_socket(index).map_err(fail)?;
        let bare = port == "clients";
        Ok(Self {
            port,
            fd,
            index,
            bare,
        })
    }

    /// Puts a frame on the interface.
    ///
    /// # Errors
    /// The kernel does not take it.
    pub fn send(&self, frame: &[u8]) -> Result<(), String> {
        let protocol = match frame.first() {
            Some(first) if self.bare && first >> 4 == 6 => 0x86dd,
            _ if self.bare => 0x0800,
            _ => frame
                .get(12..14)
                .map_or(0, |kind| u16::from_be_bytes([kind[0], kind[1]])),
        };
        sys::packet_send(self.fd.as_fd(), self.index, protocol, frame)
            .map_err(|error| format!("{}: cannot send {} bytes: {error}", self.port, frame.len()))
    }

    /// The next frame that comes in until then.
    pub fn receive(&self, until: Instant) -> Option<Vec<u8>> {
        let mut room = [0; 2048];
        loop {
            match nix::sys::socket::recv(
                self.fd.as_raw_fd(),
                &mut room,
                nix::sys::socket::MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(len) => return Some(room[..len].to_vec()),
                Err(Errno::EAGAIN) => {}
                // The device was down for a moment: said once.
                Err(_) => continue,
            }
            let left = until.checked_duration_since(Instant::now())?;
            // A part of a millisecond is one.
            let ms = u16::try_from(left.as_millis() + 1).unwrap_or(u16::MAX);
            let mut asked = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut asked, PollTimeout::from(ms));
        }
    }

    /// Throws away what has come in.
    pub fn drain(&self) {
        while self.receive(Instant::now()).is_some() {}
    }
}
