//! Which capture is which port's.

use super::Stop;
use crate::cli::exit::Exit;
use stack::io::pcap::Capture;
use stack::io::pcap::Records;
use stack::ports::Ports;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

/// A capture as it is read.
pub(super) type Reading = Capture<BufReader<File>>;

/// A port's capture.
pub(super) struct Source {
    port: usize,
    pub(super) file: PathBuf,
    /// Which of its records, and what they lack.
    pub(super) records: Records,
}

impl Source {
    /// Begins to read it.
    pub(super) fn open(&self) -> Result<Reading, Stop> {
        open(&self.file)
    }
}

/// All captures.
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// The capture of a port.
    pub(super) fn of(&self, port: usize) -> Option<&Source> {
        self.0.iter().find(|source| source.port == port)
    }

    /// Reads `PORT=FILE`, or `FILE`: a capture whose interfaces are called as ports gives each its own, any other is the
    /// first port's. What a VLAN has captured comes by its parent, with its tag again.
    pub(super) fn find(words: &[OsString], ports: &Ports) -> Result<Self, Stop> {
        let mut found = Self(Vec::new());
        for word in words {
            for source in named(word, ports)? {
                let (port, file) = (source.port, source.file.display());
                if found.of(port).is_some() {
                    let name = ports.0.get(port).map_or("", |port| port.name.as_str());
                    let line = format!(
                        "{file}: port {name} has a capture already: write PORT={file} with another port"
                    );
                    return Err(Stop::new(Exit::Usage, line));
                }
                found.0.push(source);
            }
        }
        Ok(found)
    }
}

/// By which port a port's frames come in, and with which VLAN's tag: those of a VLAN by its parent.
fn device(port: usize, ports: &Ports) -> (usize, Option<u16>) {
    let vlan = ports.0.get(port).and_then(|port| port.vlan);
    vlan.map_or((port, None), |vlan| {
        (usize::from(vlan.parent.0), Some(vlan.vid))
    })
}

fn named(word: &OsString, ports: &Ports) -> Result<Vec<Source>, Stop> {
    let text = word.to_string_lossy();
    let by_port = text.split_once('=').and_then(|(name, file)| {
        let port = ports.0.iter().position(|port| port.name == name)?;
        let (port, vlan) = device(port, ports);
        Some(Source {
            port,
            file: file.into(),
            records: Records::All(vlan),
        })
    });
    match by_port {
        Some(source) => Ok(vec![source]),
        None => by_interfaces(word.into(), ports),
    }
}

fn by_interfaces(file: PathBuf, ports: &Ports) -> Result<Vec<Source>, Stop> {
    let mut capture = open(&file)?;
    // Interfaces stand before the first packet; what is wrong behind that is told when it is played.
    let _ = capture.next(&mut Vec::new());
    let mut of_ports: BTreeMap<usize, Vec<(u32, Option<u16>)>> = BTreeMap::new();
    for (number, interface) in (0..).zip(capture.interfaces()) {
        let name = interface.name.as_deref();
        let port = ports.0.iter().position(|port| Some(&*port.name) == name);
        if let Some(port) = port {
            let (port, vlan) = device(port, ports);
            of_ports.entry(port).or_default().push((number, vlan));
        }
    }
    if of_ports.is_empty() {
        of_ports.insert(0, Vec::new());
    }
    let source = |(port, of): (usize, Vec<_>)| Source {
        port,
        file: file.clone(),
        records: if of.is_empty() {
            Records::All(None)
        } else {
            Records::Of(of)
        },
    };
    Ok(of_ports.into_iter().map(source).collect())
}

fn open(file: &PathBuf) -> Result<Reading, Stop> {
    let shown = file.display();
    let input =
        File::open(file).map_err(|error| Stop::new(Exit::NoInput, format!("{shown}: {error}")))?;
    Capture::open(BufReader::new(input))
        .map_err(|bad| Stop::new(Exit::Data, format!("{shown}: {bad}")))
}
