//! Routes as text: a prefix, then where it leads to; `#` begins a comment.
//!
//! ```text
//! 10.0.0.0/8     192.0.2.11,192.0.2.12*3      gateways by commas or blanks, weights behind *
//! 10.1.0.0/16    192.0.2.11 192.0.2.12 -weight 3   the same, as route(8) has it
//! 10.2.0.0/16    -blackhole                   or -reject, or -iface PORT
//! 2001:db8::/32  fe80::1%rack -mtu 1400 -select source
//! 10.5.0.0/16    192.0.2.11*3@1400,192.0.2.12  an MTU of one gateway behind @
//! 10.4.0.0/16    10.9.9.9 -recursive          a gateway that other routes lead to
//! 10.3.0.0/16                                 by -gateway of the command line
//! default        192.0.2.11                   of its gateways' family
//! ```

use super::Entry;
use super::Options;
use super::Place;
use super::RouteFile;
use super::Wrong;
use super::given;
use super::is_wanted;
use crate::wire::batch::PathSet;
use crate::wire::options;
use crate::wire::route::PathKind;
use crate::wire::route::PathSpec;

use crate::wire::route::check_weight;
use route::MAX_MEMBERS;
use route::Prefix;
use std::collections::HashMap;
use std::io::BufRead;
use std::io::ErrorKind;
use std::io::Read;

/// The longest line.
const LINE: u64 = 1 << 17;

/// How often progress is told, in lines.
const TELL: u64 = 1 << 15;

/// Reads lines to the end.
pub(super) fn read(
    mut input: impl BufRead,
    options: &Options,
    each: &mut dyn FnMut(usize),
) -> Result<RouteFile, Wrong> {
    let mut reader = Reader::new(options);
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        number += 1;
        let place = Place::Line(number);
        // As a rule all of the line is there, and is read where it is.
        let here = match input.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => &[],
            here => here?,
        };
        if let Some(end) = here.iter().position(|byte| *byte == b'\n') {
            reader.bytes(&here[..end], place)?;
            input.consume(end + 1);
        } else {
            line.clear();
            if input.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
                return Ok(reader.file);
            }
            if line.len() as u64 == LINE && !line.ends_with(b"\n") {
                let what = format!("longer than {LINE} bytes: this is no line of a route");
                return Err(Wrong::At(place, what));
            }
            reader.bytes(&line, place)?;
        }
        if number % TELL == 0 {
            each(reader.file.routes.len());
        }
    }
}

struct Reader<'a> {
    options: &'a Options,
    file: RouteFile,
    /// Sets by what stands behind the prefix.
    by_text: HashMap<String, u32>,
    /// The last of them, which the next line is likely to have again.
    last: (String, u32),
    /// Sets of the command line's gateways.
    given: [Option<u32>; 2],
}

impl<'a> Reader<'a> {
    fn new(options: &'a Options) -> Self {
        Self {
            options,
            file: RouteFile::default(),
            by_text: HashMap::new(),
            last: (String::new(), 0),
            given: [None; 2],
        }
    }

    fn bytes(&mut self, line: &[u8], place: Place) -> Result<(), Wrong> {
        let text = std::str::from_utf8(line).map_err(|_| "this is not text".into());
        let read = text.and_then(|text| self.line(text, place));
        read.map_err(|what| Wrong::At(place, what))
    }

    fn line(&mut self, line: &str, place: Place) -> Result<(), String> {
        let line = line
            .split_once('#')
            .map_or(line, |(line, _)| line)
            .trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let (prefix, paths) = line
            .split_once(|c: char| c.is_ascii_whitespace())
            .unwrap_or((line, ""));
        let prefix = read_prefix(prefix, paths)?;
        if !is_wanted(&prefix, self.options) {
            return Ok(());
        }
        let set = match paths.trim_ascii_start() {
            "" => self.given(&prefix)?,
            paths => self.set(paths)?,
        };
        let stated = self.file.sets.get(set as usize);
        stated.map_or(Ok(()), |set| set.options.check(prefix))?;
        self.file.routes.push(Entry { prefix, set, place });
        Ok(())
    }

    /// The set of a prefix that stands alone.
    fn given(&mut self, prefix: &Prefix) -> Result<u32, String> {
        let family = usize::from(prefix.addr().is_ipv6());
        if let Some(set) = self.given[family] {
            return Ok(set);
        }
        let Some(set) = given(prefix, self.options) else {
            return Err(format!(
                "{prefix} has no gateway: write one behind it, or give {} routes one with -gateway",
                prefix.family()
            ));
        };
        let set = self.file.intern(set.clone());
        self.given[family] = Some(set);
        Ok(set)
    }

    fn set(&mut self, paths: &str) -> Result<u32, String> {
        if self.last.0 == paths {
            return Ok(self.last.1);
        }
        let set = match self.by_text.get(paths) {
            Some(set) => *set,
            None => {
                let set = self.file.intern(read_set(paths)?);
                self.by_text.insert(paths.to_owned(), set);
                set
            }
        };
        self.last = (paths.to_owned(), set);
        Ok(set)
    }
}

/// A prefix, or `default`: of what family, its gateways say (an IPv4 route may have IPv6 ones beside IPv4 ones, RFC 8950).
fn read_prefix(word: &str, paths: &str) -> Result<Prefix, String> {
    let either = || "default is of either family here: write 0.0.0.0/0 or ::/0".to_owned();
    let network = match (word, paths.trim_ascii_start()) {
        ("default", "") => return Err(either()),
        ("default", paths) => {
            let set = read_set(paths)?;
            let mut gateways = set.paths.iter().filter_map(|path| path.gateway).peekable();
            gateways.peek().ok_or_else(either)?;
            match gateways.all(|gateway| gateway.is_ipv6()) {
                true => "::/0",
                false => "0.0.0.0/0",
            }
        }
        (prefix, _) => prefix,
    };
    network.parse().map_err(|error| format!("{error}"))
}

/// Reads what stands behind a prefix.
///
/// # Errors
/// One line that says what would be right.
pub(crate) fn read_set(text: &str) -> Result<PathSet, String> {
    let mut set = PathSet::default();
    let (mut mtu, mut recursive) = (None, false);
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word {
            "-blackhole" => set.paths.push(alone(PathKind::Blackhole, None)),
            "-reject" => set.paths.push(alone(PathKind::Reject, None)),
            "-iface" => set
                .paths
                .push(alone(PathKind::Interface, Some(value()?.to_owned()))),
            "-weight" => {
                let weight = read_weight(value()?)?;
                let last = set.paths.last_mut().filter(|p| p.gateway.is_some());
                let last = last.ok_or("-weight belongs behind a gateway")?;
                last.weight = Some(weight);
            }
            "-mtu" => mtu = Some(read_mtu(value()?)?),
            "-recursive" => recursive = true,
            _ if options::Options::WORDS.contains(&word.trim_start_matches('-')) => {
                set.options.read(word.trim_start_matches('-'), value()?)?;
            }
            _ if word.starts_with('-') => {
                return Err(format!(
                    "{word}: write gateways, -blackhole, -reject or -iface PORT; -weight N, -mtu N, -recursive, -select WHAT, -sticky src/LENGTH, -sticky-timeout N, -failback WHAT, -slow-start N, -buckets N, -group N, -timeouts NAME"
                ));
            }
            _ => add_gateways(word, &mut set.paths)?,
        }
    }
    set.options.check_whole()?;
    if recursive && set.paths.iter().any(|path| path.gateway.is_none()) {
        return Err("-recursive goes with a gateway".into());
    }
    if set.paths.is_empty() && set.options.group.is_some() && (recursive || mtu.is_some()) {
        return Err(
            "-mtu and -recursive go with gateways: leave them out, or name the group's gateways"
                .into(),
        );
    }
    for path in &mut set.paths {
        path.mtu = path.mtu.or(mtu);
        path.recursive = recursive;
    }
    normal(set)
}

fn alone(kind: PathKind, port: Option<String>) -> PathSpec {
    PathSpec {
        kind,
        port,
        ..PathSpec::default()
    }
}

/// Gateways with commas between: `ADDRESS[%PORT][*WEIGHT][@MTU]`.
pub(crate) fn add_gateways(word: &str, paths: &mut Vec<PathSpec>) -> Result<(), String> {
    for gateway in word.split(',') {
        let (name, mtu) = match gateway.split_once('@') {
            Some((name, mtu)) => (name, Some(read_mtu(mtu)?)),
            None => (gateway, None),
        };
        let (name, weight) = match name.split_once('*') {
            Some((name, weight)) => (name, Some(read_weight(weight)?)),
            None => (name, None),
        };
        let (address, port) = match name.split_once('%') {
            Some((address, port)) => (address, Some(port.to_owned())),
            None => (name, None),
        };
        let address = address.parse();
        let address =
            address.map_err(|_| format!("{gateway:?} is no gateway: write its address"))?;
        paths.push(PathSpec {
            gateway: Some(address),
            port,
            weight,
            mtu,
            ..PathSpec::default()
        });
    }
    Ok(())
}

/// One spelling for one meaning, and nothing that cannot be.
pub(crate) fn normal(mut set: PathSet) -> Result<PathSet, String> {
    let (count, alone) = (
        set.paths.len(),
        set.paths.iter().any(|path| path.gateway.is_none()),
    );
    if count == 0 && set.options.group.is_none() {
        return Err(
            "no gateway: name one or several, -group N, or -blackhole, -reject or -iface PORT"
                .into(),
        );
    }
    if alone && count > 1 {
        return Err(
            "only gateways share a route: -blackhole, -reject and -iface stand alone".into(),
        );
    }
    if count > MAX_MEMBERS {
        return Err(format!(
            "{count} gateways: a route has {MAX_MEMBERS} at most"
        ));
    }
    for path in &mut set.paths {
        path.weight = path.weight.filter(|weight| *weight != 1);
    }
    Ok(set)
}

fn read_weight(word: &str) -> Result<u32, String> {
    let weight = word
        .parse()
        .map_err(|_| format!("weight {word}: write a number from 1 to 16777215, or 0 to drain"))?;
    check_weight(weight, true)?;
    Ok(weight)
}

fn read_mtu(word: &str) -> Result<u32, String> {
    let mtu = word.parse().ok().filter(|mtu| (68..=65_535).contains(mtu));
    mtu.ok_or_else(|| format!("-mtu {word}: write a number of bytes, 68 to 65535"))
}
