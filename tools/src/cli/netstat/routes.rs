//! The routing table, in FreeBSD's columns; a route of several paths has a line for each.

use super::super::exit::Failure;
use super::super::names;
use super::super::session::Session;
use crate::wire::route::Family;
use crate::wire::route::Path;
use crate::wire::route::Route;
use crate::wire::route::RouteFamily;
use crate::wire::route::Routes;
use std::io;
use std::io::Write;

/// Prints the table; `wide` adds next hop, MTU, weight and state.
pub(in crate::cli) fn run(
    ask: RouteFamily,
    wide: bool,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if session.json {
        return session.print_reply("RouteList", &ask);
    }
    let mut headed = None;
    let fib = match ask.fib {
        0 => String::new(),
        fib => format!(" (fib: {fib})"),
    };
    let head = |out: &mut dyn Write| writeln!(out, "Routing tables{fib}");
    session.pages("RouteList", &ask, head, |out, page: Routes| {
        for route in &page.routes {
            let family = Family::of(route.destination.addr());
            if headed != Some(family) {
                headed = Some(family);
                header(out, family, wide)?;
            }
            lines(out, family, route, wide)?;
        }
        Ok(())
    })
}

fn header(out: &mut dyn Write, family: Family, wide: bool) -> io::Result<()> {
    let name = match family {
        Family::Inet => "Internet",
        Family::Inet6 => "Internet6",
    };
    writeln!(out, "\n{name}:")?;
    let columns = Columns {
        destination: "Destination",
        gateway: "Gateway",
        flags: "Flags",
        wide: wide.then_some(["Nhop#", "Mtu", "Weight", "State"].map(str::to_owned)),
        port: "Netif",
        expire: "Expire",
    };
    columns.print(out, family)
}

fn lines(out: &mut dyn Write, family: Family, route: &Route, wide: bool) -> io::Result<()> {
    route
        .paths
        .iter()
        .try_for_each(|path| line(out, family, route, path, wide))?;
    if !wide {
        return Ok(());
    }
    // What a route does otherwise than most stands below its paths.
    let number = route.options.group.map(|number| format!("group {number}"));
    let words: Vec<String> = number
        .into_iter()
        .chain(names::special(&route.options))
        .collect();
    match words.is_empty() {
        true => Ok(()),
        false => writeln!(out, "    {}", words.join(", ")),
    }
}

fn line(
    out: &mut dyn Write,
    family: Family,
    route: &Route,
    path: &Path,
    wide: bool,
) -> io::Result<()> {
    let wide = wide.then(|| {
        let state = names::path_state(path);
        [
            path.nexthop.to_string(),
            path.mtu.to_string(),
            path.weight.to_string(),
            state,
        ]
    });
    let columns = Columns {
        destination: &names::destination(route.destination),
        gateway: &path.name(),
        flags: &names::flag_letters(route, path),
        wide,
        port: path.port.as_deref().unwrap_or("-"),
        expire: &path
            .deadline
            .map(|seconds| seconds.to_string())
            .unwrap_or_default(),
    };
    columns.print(out, family)
}

/// A line of the table: FreeBSD's widths, which longer texts push and nothing cuts.
struct Columns<'a> {
    destination: &'a str,
    gateway: &'a str,
    flags: &'a str,
    /// Next hop, MTU, weight, state.
    wide: Option<[String; 4]>,
    port: &'a str,
    expire: &'a str,
}

impl Columns<'_> {
    fn print(&self, out: &mut dyn Write, family: Family) -> io::Result<()> {
        let width = match family {
            Family::Inet => 18,
            Family::Inet6 => 33,
        };
        let Self {
            destination,
            gateway,
            flags,
            port,
            expire,
            ..
        } = self;
        let mut line = format!("{destination:<width$} {gateway:<width$} {flags:<6}");
        if let Some([nexthop, mtu, weight, state]) = &self.wide {
            line += &format!(" {nexthop:>6} {mtu:>6} {weight:>8} {state:>9}");
        }
        line += &format!(" {port:>8} {expire}");
        writeln!(out, "{}", line.trim_end())
    }
}
