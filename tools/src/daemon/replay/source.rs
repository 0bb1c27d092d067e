//! Which capture is which port's.

use super::Stop;
use crate::cli::exit::Exit;
use stack::io::pcap::Capture;
use stack::ports::Ports;
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
    /// One interface of it only.
    pub(super) interface: Option<u32>,
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
    /// first port's.
    pub(super) fn find(words: &[OsString], ports: &Ports) -> Result<Self, Stop> {
        let mut found = Self(Vec::new());
        for word in words {
            for source in named(word, ports)? {
                no_vlan(&source, ports)?;
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

/// A VLAN's frames are in its parent's capture, with their tags.
fn no_vlan(source: &Source, ports: &Ports) -> Result<(), Stop> {
    let port = ports.0.get(source.port);
    let parent = port.and_then(|port| ports.get(port.vlan?.parent));
    let (Some(port), Some(parent)) = (port, parent) else {
        return Ok(());
    };
    let (file, name, parent) = (source.file.display(), &port.name, &parent.name);
    let line = format!(
        "{file}: {name} is a VLAN of {parent}, whose capture has its frames with their tags: write {parent}={file}"
    );
    Err(Stop::new(Exit::Usage, line))
}

fn named(word: &OsString, ports: &Ports) -> Result<Vec<Source>, Stop> {
    let text = word.to_string_lossy();
    let by_port = text.split_once('=').and_then(|(name, file)| {
        let port = ports.0.iter().position(|port| port.name == name)?;
        Some(Source {
            port,
            file: file.into(),
            interface: None,
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
    let interfaces = (0..).zip(capture.interfaces());
    let of_port = |(number, interface): (u32, &stack::io::pcap::Interface)| {
        let name = interface.name.as_deref()?;
        Some(Source {
            port: ports.0.iter().position(|port| port.name == name)?,
            file: file.clone(),
            interface: Some(number),
        })
    };
    let found: Vec<_> = interfaces.filter_map(of_port).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    Ok(vec![Source {
        port: 0,
        file,
        interface: None,
    }])
}

fn open(file: &PathBuf) -> Result<Reading, Stop> {
    let shown = file.display();
    let input =
        File::open(file).map_err(|error| Stop::new(Exit::NoInput, format!("{shown}: {error}")))?;
    Capture::open(BufReader::new(input))
        .map_err(|bad| Stop::new(Exit::Data, format!("{shown}: {bad}")))
}
