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
    let (mut headed, mut widths) = (None, Widths::default());
    let fib = match ask.fib {
        0 => String::new(),
        fib => format!(" (fib: {fib})"),
    };
    let head = |out: &mut dyn Write| writeln!(out, "Routing tables{fib}");
    session.pages("RouteList", &ask, head, |out, page: Routes| {
        let by_family = |one: &Route, other: &Route| family_of(one) == family_of(other);
        for routes in page.routes.chunk_by(by_family) {
            let family = routes.first().map(family_of);
            if headed != family {
                widths = Widths::of(family);
            }
            widths.widen(routes);
            if let Some(new) = family.filter(|_| headed != family) {
                header(out, new, widths, wide)?;
            }
            headed = family;
            routes
                .iter()
                .try_for_each(|route| lines(out, widths, route, wide))?;
        }
        Ok(())
    })
}

fn family_of(route: &Route) -> Family {
    Family::of(route.destination.addr())
}

/// How wide the columns are whose texts may be long: FreeBSD's widths at least, and as wide as the widest entry of the
/// pages so far. Pages are not kept, so that a table of a million routes is printed as it comes.
#[derive(Clone, Copy, Default)]
struct Widths {
    destination: usize,
    gateway: usize,
    port: usize,
}

impl Widths {
    const fn of(family: Option<Family>) -> Self {
        let width = match family {
            Some(Family::Inet6) => 33,
            Some(Family::Inet) | None => 18,
        };
        Self {
            destination: width,
            gateway: width,
            port: 8,
        }
    }

    fn widen(&mut self, routes: &[Route]) {
        for route in routes {
            let destination = names::destination(route.destination);
            self.destination = self.destination.max(destination.len());
            for path in &route.paths {
                let port = path.port.as_deref().unwrap_or("-");
                self.gateway = self.gateway.max(path.name().len());
                self.port = self.port.max(port.len());
            }
        }
    }
}

fn header(out: &mut dyn Write, family: Family, widths: Widths, wide: bool) -> io::Result<()> {
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
    columns.print(out, widths)
}

fn lines(out: &mut dyn Write, widths: Widths, route: &Route, wide: bool) -> io::Result<()> {
    route
        .paths
        .iter()
        .try_for_each(|path| line(out, widths, route, path, wide))?;
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
    widths: Widths,
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
        destination: &names::zoned(route.destination, path),
        gateway: &path.name(),
        flags: &names::flag_letters(route, path),
        wide,
        port: path.port.as_deref().unwrap_or("-"),
        expire: &path
            .deadline
            .map(|seconds| seconds.to_string())
            .unwrap_or_default(),
    };
    columns.print(out, widths)
}

/// A line of the table; nothing is cut.
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
    fn print(&self, out: &mut dyn Write, widths: Widths) -> io::Result<()> {
        let Self {
            destination,
            gateway,
            flags,
            port,
            expire,
            ..
        } = self;
        let mut line = format!(
            "{destination:<0$} {gateway:<1$} {flags:<6}",
            widths.destination, widths.gateway
        );
        if let Some([nexthop, mtu, weight, state]) = &self.wide {
            line += &format!(" {nexthop:>6} {mtu:>6} {weight:>8} {state:>9}");
        }
        line += &format!(" {port:>0$} {expire}", widths.port);
        writeln!(out, "{}", line.trim_end())
    }
}
