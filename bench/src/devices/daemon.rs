//! The real daemon, `flowgate run`, in a namespace of its own, and a way to send through it before it is there.

use super::Of;
use super::cable::lay;
use super::place::{Ends, LEN, namespace, said};
use super::tool::{Program, Scratch};
use nix::sys::socket::{setsockopt, sockopt::BindToDevice};
use stack::io::netns::{sysctl_write, thread_in_netns};
use stack::io::poll::cpus;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where datagrams go.
pub(super) const PORT: u16 = 9000;

/// Names of the TUN devices that it makes.
const TUNS: [&str; 2] = ["site0", "site1"];

/// Where the executable is: beside this one, as it is of the same build.
pub(super) fn binary() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(said)?;
    let file = own.with_file_name("flowgate");
    match file.is_file() {
        true => Ok(file),
        false => Err(format!(
            "{} is not there: cargo build --release --bin flowgate",
            file.display()
        )),
    }
}

/// A place for a daemon: its namespace, and what it is to be joined to.
pub(super) struct Site {
    of: Of,
    netns: OwnedFd,
    /// Its ports' devices.
    names: [String; 2],
    ends: Ends,
}

impl Site {
    pub(super) fn new(of: Of) -> Result<Self, String> {
        let (netns, ends) = (namespace()?, Ends::new()?);
        let names = thread_in_netns(&netns, || -> Result<_, String> {
            prepare().map_err(said)?;
            match of {
                Of::Tun => Ok(TUNS.map(String::from)),
                Of::Packet => Ok([lay(&ends.client, 1)?, lay(&ends.server, 1)?]),
                // A queue for each worker, of which there is one a CPU.
                Of::Xdp => Ok([
                    lay(&ends.client, cpus().len())?,
                    lay(&ends.server, cpus().len())?,
                ]),
            }
        });
        Ok(Self {
            of,
            netns,
            names: names.map_err(said)??,
            ends,
        })
    }

    /// Starts a daemon here, with flow tables of so many IPv4 connections, 0: its default.
    pub(super) fn run(&self, flows: usize) -> Result<Daemon, String> {
        let files = Scratch::new()?;
        let config = files.write("flowgate.toml", &self.config(flows, files.dir()))?;
        let log = files.dir().join("log");
        let mut command = Command::new(binary()?);
        command
            .args([&OsString::from("run"), &"--config".into()])
            .arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(&log).map_err(said)?);
        let program = thread_in_netns(&self.netns, || Program::start(command));
        let program = program.map_err(said)??;
        Ok(Daemon { program, files })
    }

    /// No more than it needs: what is not said here is as the daemon has it.
    fn config(&self, flows: usize, dir: &Path) -> String {
        let socket = dir.join("socket");
        let mut text = format!("[control]\nsocket = \"{}\"\n", socket.display());
        if flows > 0 {
            text += &format!("[tables]\nflows-v4 = {flows}\n");
        }
        for (name, end) in self
            .names
            .iter()
            .zip([&self.ends.client, &self.ends.server])
        {
            let (router, host) = (end.router, end.host);
            let (kind, more) = match self.of {
                Of::Tun => ("tun", format!("host-addresses = [\"{host}/{LEN}\"]\n")),
                Of::Packet => ("packet", String::new()),
                Of::Xdp => ("xdp", String::new()),
            };
            text += &format!(
                "[[port]]\nname = \"{name}\"\ntype = \"{kind}\"\naddresses = [\"{router}/{LEN}\"]\n{more}"
            );
        }
        text
    }

    /// Whom datagrams are for.
    pub(super) fn to(&self, port: u16) -> SocketAddr {
        (self.ends.server.host, port).into()
    }

    /// A socket whose datagrams go into the first port. Before a TUN device is made there is none.
    pub(super) fn sender(&self) -> Result<UdpSocket, String> {
        if self.of != Of::Tun {
            let socket = self
                .ends
                .client
                .enter(|| UdpSocket::bind((self.ends.client.host, 0)));
            return socket?.map_err(said);
        }
        // Both devices are one kernel's, which would have its datagrams stay at home: this one sends them out.
        let socket = thread_in_netns(&self.netns, || -> Result<_, String> {
            let socket = UdpSocket::bind("0.0.0.0:0").map_err(said)?;
            let device = OsString::from(&self.names[0]);
            setsockopt(&socket, BindToDevice, &device).map_err(said)?;
            Ok(socket)
        });
        socket.map_err(said)?
    }

    /// The socket that they come to; it is there before its address is.
    pub(super) fn receiver(&self) -> Result<UdpSocket, String> {
        let netns = match self.of {
            Of::Tun => &self.netns,
            Of::Packet | Of::Xdp => &self.ends.server.netns,
        };
        let socket = thread_in_netns(netns, || UdpSocket::bind(("0.0.0.0", PORT)));
        socket.map_err(said)?.map_err(said)
    }
}

/// What comes by the second device of a kernel from its own address at the first is taken all the same; and no address of the kernel's on
/// an interface that is to be the daemon's.
fn prepare() -> std::io::Result<()> {
    for conf in ["all", "default"] {
        sysctl_write(&format!("net/ipv4/conf/{conf}/accept_local"), "1")?;
        sysctl_write(&format!("net/ipv4/conf/{conf}/rp_filter"), "0")?;
    }
    // On a kernel without IPv6 there is nothing to turn off.
    let _ = sysctl_write("net/ipv6/conf/default/disable_ipv6", "1");
    Ok(())
}

/// A daemon, until it is dropped.
pub(super) struct Daemon {
    program: Program,
    files: Scratch,
}

impl Daemon {
    /// Its process.
    pub(super) fn id(&self) -> String {
        self.program.id().to_string()
    }

    /// Whether it answers calls. If it has ended, why.
    pub(super) fn serves(&mut self) -> Result<bool, String> {
        self.lives()?;
        Ok(UnixStream::connect(self.files.dir().join("socket")).is_ok())
    }

    /// If it has ended, its last words.
    pub(super) fn lives(&mut self) -> Result<(), String> {
        match self.program.ended() {
            None => Ok(()),
            Some(status) => {
                let log = self.log();
                let last = log.lines().last().unwrap_or_default();
                Err(format!("flowgate run: {status}: {last}"))
            }
        }
    }

    /// Bytes of its flow tables, and the time that taking and touching them took, ms, as its log has them.
    pub(super) fn tables(&self) -> Option<(u64, u64)> {
        read_tables(&self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.files.dir().join("log")).unwrap_or_default()
    }
}

fn read_tables(log: &str) -> Option<(u64, u64)> {
    log.lines().find_map(|line| {
        let (bytes, rest) = line
            .split_once("flow tables: ")?
            .1
            .split_once(" bytes in ")?;
        Some((bytes.parse().ok()?, rest.split_once(" ms")?.0.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_how_large_the_tables_are_and_how_long_they_took() {
        let log = "x INFO flow tables: 50 % of 100 bytes touched\n\
                   x INFO flow tables: 36700160 bytes in 12 ms, 36700160 of them on huge pages\n";
        assert_eq!(read_tables(log), Some((36_700_160, 12)));
        assert_eq!(read_tables("nothing"), None);
    }
}
