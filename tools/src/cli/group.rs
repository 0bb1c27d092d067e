//! `group`: next-hop groups that have a number, and are changed for all their routes at once.

use super::exit::Failure;
use super::exit::usage;
use super::names;
use super::route::moves;
use super::route::parse::SECONDS;
use super::route::parse::fib;
use super::route::parse::last_mtu_for_all;
use super::route::parse::member as gateway;
use super::route::refused;
use super::session::Session;
use super::words::Words;
use crate::wire::group::GroupAdd;
use crate::wire::group::GroupChange;
use crate::wire::group::GroupDelete;
use crate::wire::group::GroupLayout;
use crate::wire::group::GroupMember;
use crate::wire::group::GroupOf;
use crate::wire::group::GroupState;
use crate::wire::group::Groups;
use crate::wire::group::GroupsOf;
use crate::wire::limits::check_deadline;
use crate::wire::moves::Asked;
use crate::wire::moves::GroupChanged;
use crate::wire::moves::How;
use crate::wire::options::Options;
use crate::wire::route::PathSpec;
use crate::wire::route::check_weight;
use serde::Serialize;
use std::io;
use std::io::Write;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
group: next-hop groups that routes share by a number

usage: group command [args]

  group show   [N | -a]                         members, shares, options; -a: groups without a number too
  group add    N GATEWAY [-weight N]...         a new group, or more members
  group change N GATEWAY [-weight N]... [-deadline SECONDS]
                                                weights of members; with others among them, the whole set
  group change N -failback return               options alone
  group delete N [GATEWAY]                      a member; or the group, if no route uses it (del: the same)
  group export [N | -a]                         layout and history, a JSON object a line

N is a number of yours, from 1; the id that 'show' puts beside it is the gateway's own. Routes name a
group: route add DEST -group N. A change of the group is one change for all of them: a bucket moves only
if its next hop left or weights demand it, and flows stay with members that stay. A route that is changed
by itself gets a copy of the group, if others use that too. A group without routes stays; its layout is
kept over a restart.

add, change and delete with --plan change nothing and say which live flows would move at their next packet,
as those of route do; made, they say how many have to move, and 'route moves' what has become of them.

modifiers:
  -weight N              share of the gateway before it, 1 to 16777215; with change, 0 drains it in all routes
  -deadline SECONDS      with change -weight 0: then the flows that are left move
  -buckets N             with add: how many buckets it has, a power of two, 1 to 65536 (4096, see [tables])
  -select WHAT, -sticky src[/LEN], -sticky-timeout N, -failback WHAT, -slow-start N, -timeouts NAME
                         how flows are treated, as of a route (route --help)
  -ifp PORT, -mtu N      the port, the MTU of the gateway before it; an MTU behind the last, where no other
                         has one, is of all. It is the next hop's, in all routes by it
  -recursive             gateways may be on no network of ours: other routes lead to them
  -fib N                 on whose ports gateways are looked for (0; with change, without it members
                         are known by their address alone)

options:
  --plan         say what add, change or delete would do, and do nothing
  --json         machine-readable, see docs/CONTROL.md
  --socket PATH  the gateway's control socket (or FLOWGATE_SOCKET)

examples:
  group add 7 192.0.2.11 192.0.2.12 -weight 3 -buckets 16384
  route add 203.0.113.0/24 -group 7
  group add 7 192.0.2.13
  group change 7 192.0.2.12 -weight 0 -deadline 600
  group delete --plan 7 192.0.2.12
  group delete 7 192.0.2.12
  group show 7
  group export 7 > group7.json

exit status: 0 done; 1 refused; 64 usage; 69 no flowgate at the socket
";

/// Carries out one command line.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(mut words: Words, session: &mut Session<'_>) -> Result<(), Failure> {
    match words.next().as_deref() {
        Some("show") => show(which(&mut words, "show")?, session),
        Some("export") => export(which(&mut words, "export")?, session),
        Some("add") => add(read(&mut words)?, session),
        Some("change") => change(read(&mut words)?, session),
        Some("delete" | "del") => delete(read(&mut words)?, session),
        Some(other) => usage(format!(
            "bad keyword: {other}: the commands are show, add, change, delete and export"
        )),
        None => usage("no command: say show, add, change, delete or export"),
    }
}

/// A group's number, or `-a`, or nothing.
fn which(words: &mut Words, verb: &str) -> Result<GroupsOf, Failure> {
    let mut of = GroupsOf::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-a" => of.all = true,
            number if of.group.is_none() => of.group = Some(self::number(number)?),
            more => return usage(format!("{verb} takes one group: leave {more} out")),
        }
    }
    match (of.all, of.group) {
        (true, Some(_)) => usage("-a means all groups: leave it or the number out"),
        _ => Ok(of),
    }
}

fn number(word: &str) -> Result<u32, Failure> {
    let number = word.parse().ok().filter(|number| *number > 0);
    let wrong = || format!("{word}: write the group's number, from 1 to 4294967295");
    number.map_or_else(|| usage(wrong()), Ok)
}

/// What stands behind add, change and delete.
#[derive(Debug, Default)]
struct Said {
    group: u32,
    fib: Option<u8>,
    defaults: PathSpec,
    paths: Vec<PathSpec>,
    options: Options,
    deadline: Option<u32>,
    recursive: bool,
    plan: bool,
    quiet: bool,
}

fn read(words: &mut Words) -> Result<Said, Failure> {
    let mut said = Said::default();
    let group = loop {
        match words.next().as_deref() {
            None => return usage("no group: write its number, from 1"),
            Some("-plan" | "--plan") => said.plan = true,
            Some(group) => break number(group)?,
        }
    };
    said.group = group;
    while let Some(word) = words.next() {
        match word.strip_prefix('-') {
            Some(option) => said.modifier(option, words)?,
            None => said
                .paths
                .push(gateway(&word, &said.defaults, "a gateway's address")?),
        }
    }
    last_mtu_for_all(&mut said.paths);
    for path in &mut said.paths {
        path.recursive = said.recursive;
    }
    Ok(said)
}

impl Said {
    fn modifier(&mut self, option: &str, words: &mut Words) -> Result<(), Failure> {
        match option {
            "weight" => {
                let right = "a number from 1 to 16777215, or with change 0 to drain";
                self.path().weight = Some(words.parse("-weight", right)?);
            }
            "mtu" => {
                self.path().mtu = Some(words.parse("-mtu", "a number of bytes, 68 to 65535")?);
            }
            "recursive" => self.recursive = true,
            "ifp" => self.path().port = Some(words.value("-ifp")?),
            "deadline" => self.deadline = Some(words.parse("-deadline", SECONDS)?),
            "fib" => self.fib = Some(fib(words)?),
            "n" => {}
            "q" => self.quiet = true,
            "plan" | "-plan" => self.plan = true,
            "group" => return usage("the group's number stands behind the command alone"),
            _ if Options::WORDS.contains(&option) => {
                let value = words.value(&format!("-{option}"))?;
                self.options.read(option, &value).or_else(usage)?;
            }
            _ => return usage(format!("bad keyword: -{option}: see group --help")),
        }
        Ok(())
    }

    /// The last gateway, or what holds for all when none was named yet.
    fn path(&mut self) -> &mut PathSpec {
        self.paths.last_mut().unwrap_or(&mut self.defaults)
    }

    const fn told(&self) -> Told {
        let Self {
            group, plan, quiet, ..
        } = *self;
        Told { group, plan, quiet }
    }

    fn check(&self, may_drain: bool) -> Result<(), Failure> {
        for path in &self.paths {
            check_weight(path.weight.unwrap_or(1), may_drain).or_else(usage)?;
        }
        Ok(())
    }
}

fn add(said: Said, session: &mut Session<'_>) -> Result<(), Failure> {
    said.check(false)?;
    said.options.check_whole().or_else(usage)?;
    if said.deadline.is_some() {
        return usage(
            "-deadline belongs to change: group change N ... -weight 0 -deadline SECONDS",
        );
    }
    if said.paths.is_empty() {
        return usage("no gateway: name one or several");
    }
    let told = said.told();
    let ask = GroupAdd {
        group: said.group,
        fib: said.fib.unwrap_or(0),
        paths: said.paths,
        options: said.options,
    };
    tell(("add", "GroupAdd"), told, &ask, session)
}

fn change(said: Said, session: &mut Session<'_>) -> Result<(), Failure> {
    said.check(true)?;
    check_deadline(said.deadline, &said.paths).or_else(usage)?;
    if said.paths.is_empty() && said.options.is_empty() {
        return usage("nothing to change: name gateways, or options such as -failback return");
    }
    let told = said.told();
    let ask = GroupChange {
        group: said.group,
        fib: said.fib,
        paths: said.paths,
        deadline: said.deadline,
        options: said.options,
    };
    tell(("change", "GroupChange"), told, &ask, session)
}

fn delete(said: Said, session: &mut Session<'_>) -> Result<(), Failure> {
    let path = match said.paths.as_slice() {
        [] => PathSpec::default(),
        [path] => path.clone(),
        _ => return usage("delete takes one gateway at a time"),
    };
    let of_path = said.defaults.weight.or(path.weight).or(path.mtu);
    if !said.options.is_empty() || said.deadline.is_some() || of_path.is_some() {
        return usage("delete takes a gateway (and -ifp PORT), and no options");
    }
    let told = said.told();
    let ask = GroupDelete {
        group: said.group,
        gateway: path.gateway,
        port: path.port.or(said.defaults.port),
    };
    tell(("delete", "GroupDelete"), told, &ask, session)
}

/// Of which group something is to be told, and what.
#[derive(Clone, Copy)]
struct Told {
    group: u32,
    plan: bool,
    quiet: bool,
}

/// A line for each member, as `route` prints them; one for the group, if no member is concerned. Then which flows move.
fn tell(
    (verb, method): (&str, &str),
    told: Told,
    ask: &impl Serialize,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    let what = format!("{verb} group {}", told.group);
    let how = How {
        plan: told.plan,
        // Who wants little told need not wait for it to be found.
        truth: session.json || !told.quiet,
    };
    let changed = session.call::<GroupChanged>(method, &Asked { ask, how });
    let changed =
        changed.map_err(|error| refused(error, |message| format!("{what}: {message}")))?;
    if session.json {
        return session.print_json(&changed);
    }
    let what = match told.plan {
        true => format!("plan: {what}"),
        false => what,
    };
    let GroupChanged { done, plan, moves } = &changed;
    for path in &done.paths {
        writeln!(session.out, "{what}: gateway {}", path.name())?;
    }
    if done.paths.is_empty() {
        writeln!(session.out, "{what}")?;
    }
    if let Some(warning) = &done.warning {
        writeln!(session.out, "{what}: {warning}")?;
    }
    moves::print(session.out, &what, (plan.as_ref(), moves.as_ref()))?;
    Ok(())
}

fn show(of: GroupsOf, session: &mut Session<'_>) -> Result<(), Failure> {
    if session.json {
        return session.print_reply("GroupList", &of);
    }
    let mut none = true;
    session.pages(
        "GroupList",
        &of,
        |_| Ok(()),
        |out, page: Groups| {
            none &= page.groups.is_empty();
            page.groups.iter().try_for_each(|group| print(out, group))
        },
    )?;
    if none && !of.all {
        let line = "no group has a number: 'group add N GATEWAY...' makes one; -a shows the others";
        writeln!(session.out, "{line}")?;
    }
    Ok(())
}

fn print(out: &mut dyn Write, group: &GroupState) -> io::Result<()> {
    let name = match group.group {
        Some(number) => format!("group {number} (id {})", group.index),
        None => format!("id {} (no number)", group.index),
    };
    let routes = names::counted(group.routes.into(), "route");
    let size = match group.buckets {
        buckets if buckets == group.size => format!("{buckets}"),
        buckets => format!("{buckets} (of {} with a second member)", group.size),
    };
    writeln!(out, "{name}: used by {routes}")?;
    writeln!(out, "    buckets: {size}{}", ownerless(group))?;
    writeln!(
        out,
        "    history: {} remember earlier members, {} at most",
        names::counted(group.remembering.into(), "bucket"),
        group.depth
    )?;
    writeln!(out, "    options: {}", names::options(&group.options))?;
    line(
        out,
        [
            "Member", "Netif", "Weight", "Due", "Has", "Remember", "State",
        ],
    )?;
    group.members.iter().try_for_each(|one| member(out, one))?;
    match &group.warning {
        Some(warning) => writeln!(out, "    warning: {warning}"),
        None => Ok(()),
    }
}

fn ownerless(group: &GroupState) -> String {
    match group.ownerless {
        0 => String::new(),
        count => format!(", {count} without an owner"),
    }
}

fn member(out: &mut dyn Write, member: &GroupMember) -> io::Result<()> {
    let path = &member.path;
    line(
        out,
        [
            &path.name(),
            path.port.as_deref().unwrap_or("-"),
            &path.weight.to_string(),
            &member.due.to_string(),
            &path.buckets.to_string(),
            &member.remembered.to_string(),
            &names::path_state(path),
        ],
    )
}

fn line(out: &mut dyn Write, columns: [&str; 7]) -> io::Result<()> {
    let [gateway, port, weight, due, has, remember, state] = columns;
    writeln!(
        out,
        "    {gateway:<24} {port:>8} {weight:>8} {due:>6} {has:>6} {remember:>8}  {state}"
    )
}

/// A group as it is exported: its layout, after what `show` tells of it.
#[derive(Serialize)]
struct Exported {
    #[serde(flatten)]
    state: GroupState,
    #[serde(flatten)]
    layout: GroupLayout,
}

fn export(of: GroupsOf, session: &mut Session<'_>) -> Result<(), Failure> {
    let mut groups = Vec::new();
    let mut client = session.client()?;
    client.call_more("GroupList", &of, |page: Groups, _| {
        groups.extend(page.groups);
        true
    })?;
    for state in groups {
        let of = GroupOf {
            group: None,
            index: Some(state.index),
        };
        let mut layout = GroupLayout::default();
        session
            .client()?
            .call_more("GroupExport", &of, |page: GroupLayout, _| {
                layout.names.extend(page.names);
                layout.runs.extend(page.runs);
                true
            })?;
        let text = serde_json::to_string(&Exported { state, layout });
        writeln!(session.out, "{}", text.map_err(io::Error::from)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
