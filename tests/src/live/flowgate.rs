//! Flowgate, started anew for each vector: `clients` is a TUN device, `rack` and `west` are TAP devices.

use super::Ready;
use super::wire::Wire;
use crate::conform::play::{NEIGHBOURS, PORTS, ROUTES};
use crate::conform::vector::{Step, Vector};
use crate::lab::process::{Process, Ran, Scratch};
use crate::lab::{PATIENCE, eventually};
use crate::rack::server_mac;
use std::fmt::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// The kernel's side of the devices would speak IPv6 by itself; called once, in the namespace where the devices will be.
///
/// # Errors
/// The setting cannot be written.
pub fn quiet_kernel() -> Result<(), String> {
    stack::io::netns::sysctl_write("net/ipv6/conf/default/disable_ipv6", "1")
        .map_err(|error| format!("cannot keep the kernel from speaking IPv6: {error}"))
}

/// A Flowgate that knows the vectors' network.
#[derive(Debug)]
pub struct Flowgate<'a> {
    binary: &'a Path,
    wires: [Wire; 3],
    // In the order in which they are to end.
    process: Process,
    scratch: Scratch,
}

impl<'a> Flowgate<'a> {
    /// Starts one, set as the vector says.
    ///
    /// # Errors
    /// It does not come up; what it said.
    pub fn start(binary: &'a Path, vector: &Vector) -> Result<Self, String> {
        let scratch = Scratch::new();
        let socket = scratch.path("control.sock");
        let config = scratch.write("flowgate.toml", &config(vector, &socket)?);
        let args = ["run", "--config", &*config.to_string_lossy()];
        let mut process = scratch.start(None, binary, &args, &[]);
        // The file is there before anybody listens to it.
        let listens = || UnixStream::connect(&socket).is_ok();
        let up = eventually(|| listens() || !process.is_running());
        if !up || !process.is_running() {
            return Err(format!(
                "no gateway: {}{}",
                process.stdout(),
                process.stderr()
            ));
        }
        let wire = |name: &'static str| Wire::open(name, name);
        let wires = [wire(PORTS[0])?, wire(PORTS[1])?, wire(PORTS[2])?];
        let gateway = Self {
            binary,
            wires,
            process,
            scratch,
        };
        for (port, addr, server) in NEIGHBOURS {
            let (port, mac) = (PORTS[usize::from(port)], server_mac(server.into()));
            gateway.run(&format!("{} -i {port} -s {addr} {mac}", protocol(addr)))?;
        }
        Ok(gateway)
    }

    fn run(&self, words: &str) -> Result<String, String> {
        let socket = self.scratch.path("control.sock");
        let socket = socket.to_string_lossy();
        let args: Vec<&str> = ["--socket", &*socket]
            .into_iter()
            .chain(words.split(' '))
            .collect();
        let Ran {
            status,
            stdout,
            stderr,
            ..
        } = self.scratch.run(None, self.binary, &args, PATIENCE);
        match status.success() {
            true => Ok(stdout),
            false => Err(format!("'{words}': {stdout}{stderr}")),
        }
    }

    /// Ends it, as an operator does.
    ///
    /// # Errors
    /// It ends badly; what it said.
    pub fn end(self) -> Result<(), String> {
        self.process.signal(nix::sys::signal::Signal::SIGTERM);
        let ran = self.process.finish(PATIENCE);
        match ran.status.success() {
            true => Ok(()),
            false => Err(format!("it ended badly: {}{}", ran.stdout, ran.stderr)),
        }
    }
}

impl Ready for Flowgate<'_> {
    fn wires(&self) -> &[Wire; 3] {
        &self.wires
    }

    fn tell(&self, words: &str) -> Result<(), String> {
        let parts: Vec<&str> = words.split(' ').collect();
        let command = match parts[..] {
            ["publish", port, addr, mac] => {
                let publish = if protocol(addr) == "arp" {
                    "pub"
                } else {
                    "proxy"
                };
                format!("{} -i {port} -s {addr} {mac} {publish}", protocol(addr))
            }
            _ => words.to_owned(),
        };
        self.run(&command).map(drop)
    }
}

fn protocol(addr: &str) -> &'static str {
    if addr.contains(':') { "ndp" } else { "arp" }
}

const PORT_LINES: [&str; 3] = [
    "name = \"clients\"\ntype = \"tun\"\naddresses = [\"10.0.0.1/8\", \"fd10::1/32\"]\n",
    "name = \"rack\"\ntype = \"tap\"\nmac = \"02:00:00:00:00:01\"\n\
     addresses = [\"192.0.2.1/24\", \"fd00:2::1/64\", \"fe80::1/64\"]\n",
    "name = \"west\"\ntype = \"tap\"\nmac = \"02:00:00:00:00:02\"\n\
     addresses = [\"198.51.100.1/24\", \"fd00:3::1/64\", \"fe80::1/64\"]\n",
];

fn config(vector: &Vector, socket: &Path) -> Result<String, String> {
    let mut text = format!(
        "[gateway]\nworkers = 1\n[control]\nsocket = \"{}\"\n[tables]\nflows-v4 = 1024\nflows-v6 = 1024\n",
        socket.display()
    );
    let wide = |step: &Step| matches!(step, Step::Set(words) if words == "verify-moves");
    if vector.steps.iter().any(wide) {
        text.push_str("[neighbour]\nverify-moves = true\n");
    }
    for (port, lines) in PORTS.iter().zip(PORT_LINES) {
        let _ = write!(text, "[[port]]\n{lines}");
        for step in &vector.steps {
            if let Step::Set(words) = step
                && words.split(' ').nth(1) == Some(port)
            {
                text.push_str(&switch(words)?);
            }
        }
    }
    for (prefix, way, mtu) in ROUTES {
        let _ = write!(text, "[[route]]\ndestination = \"{prefix}\"\n");
        let _ = match way {
            "blackhole" | "reject" => writeln!(text, "kind = \"{way}\""),
            _ => writeln!(text, "gateways = {:?}", way.split(' ').collect::<Vec<_>>()),
        };
        if let Some(mtu) = mtu {
            let _ = writeln!(text, "mtu = {mtu}");
        }
    }
    Ok(text)
}

/// A `set` line as one of the port's.
fn switch(words: &str) -> Result<String, String> {
    let parts: Vec<&str> = words.split(' ').collect();
    match parts[..] {
        [key, _, value] => Ok(format!("{key} = \"{value}\"\n")),
        [key, _] => Ok(format!("{key} = true\n")),
        _ => Err(format!("nothing is configured by '{words}'")),
    }
}
