//! The other side of a device of the kernel: a packet socket on the interface that the device, or its peer, is.

#![allow(unsafe_code)]

use stack::io::netlink::Netlink;
use stack::io::poll::Poller;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// How long a frame may take that must come, ms.
const PATIENCE_MS: u64 = 10_000;

/// A packet socket on one interface.
#[derive(Debug)]
pub struct Raw {
    socket: OwnedFd,
    poller: Poller,
    room: Vec<u8>,
}

impl Raw {
    /// Opens one on the interface `name` of the calling thread's namespace.
    ///
    /// # Errors
    /// No such interface; no right.
    pub fn open(name: &str) -> io::Result<Self> {
        let ifindex = Netlink::open()?.link_index(name)?;
        let all = (libc::ETH_P_ALL as u16).to_be();
        // Protocol 0: it hears nothing until it is bound to its interface.
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: three numbers; the descriptor is checked, and ours alone.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let on: libc::c_int = 1;
        let room: libc::c_int = 16 << 20;
        option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, on)?;
        // The forced one is root's; the other gives what there is.
        option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, room)
            .or_else(|_| option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, room))?;
        // SAFETY: plain C data for which all zeros is a valid value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = all;
        address.sll_ifindex = ifindex.cast_signed();
        // SAFETY: the address outlives the call and its size is given.
        let done = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            socket,
            poller: Poller::new(),
            room: vec![0; 70_000],
        })
    }

    /// Sends a frame out of the interface; `false` if it does not take it.
    #[must_use]
    pub fn send(&self, frame: &[u8]) -> bool {
        // SAFETY: pointer and length describe one live slice.
        let sent = unsafe {
            let fd = self.socket.as_raw_fd();
            libc::send(fd, frame.as_ptr().cast(), frame.len(), 0)
        };
        usize::try_from(sent).is_ok_and(|sent| sent == frame.len())
    }

    /// The next frame that came in by the interface; `None` if there is none, or none comes where it is waited for.
    ///
    /// # Panics
    /// poll fails.
    pub fn recv(&mut self, wait: bool) -> Option<Vec<u8>> {
        let timeout = Some(if wait { PATIENCE_MS } else { 0 });
        loop {
            let ready = self.poller.wait_each([self.socket.as_fd()], timeout);
            if ready.expect("poll") == 0 {
                return None;
            }
            // SAFETY: pointer and length describe one live slice, exclusively ours.
            let len = unsafe {
                let (fd, room) = (self.socket.as_raw_fd(), &mut self.room);
                libc::recv(fd, room.as_mut_ptr().cast(), room.len(), 0)
            };
            match usize::try_from(len) {
                Ok(len) => return self.room.get(..len).map(<[u8]>::to_vec),
                // That the interface was down is said once.
                Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::ENETDOWN) => {}
                Err(_) => return None,
            }
        }
    }
}

fn option(socket: &OwnedFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option's value is one `c_int` that outlives the call and whose size is given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
