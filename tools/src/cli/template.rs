//! `template`: which next hop the flows of a sticky route's client network share.

use super::args::TemplateCommand;
use super::args::TemplateFilterArgs;
use super::exit::Failure;
use super::exit::usage;
use super::names;
use super::session::Session;
use super::words::read_own;
use crate::wire::template::Template;
use crate::wire::template::TemplateFilter;
use crate::wire::template::Templates;
use crate::wire::template::TemplatesFlushed;
use std::io;
use std::io::Write;
use std::net::IpAddr;

/// Carries out one command.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(command: TemplateCommand, session: &mut Session<'_>) -> Result<(), Failure> {
    match command {
        TemplateCommand::List { filter } => list(&read_args(&filter)?, session),
        TemplateCommand::Flush { filter, all } => flush(&read_args(&filter)?, all, session),
    }
}

fn read_args(args: &TemplateFilterArgs) -> Result<TemplateFilter, Failure> {
    read(args.client.as_deref(), args.nexthop)
}

/// Which templates are meant.
pub(super) fn read(
    client: Option<&str>,
    nexthop: Option<IpAddr>,
) -> Result<TemplateFilter, Failure> {
    let client = client.map(read_own).transpose()?;
    Ok(TemplateFilter { client, nexthop })
}

fn flush(filter: &TemplateFilter, all: bool, session: &mut Session<'_>) -> Result<(), Failure> {
    let is_of_all = *filter == TemplateFilter::default();
    if is_of_all && !all {
        return usage(
            "template flush without a filter forgets every template: say --all if that is meant",
        );
    }
    if !is_of_all && all {
        return usage(
            "--all forgets every template, a filter some of them: leave one of the two out",
        );
    }
    let flushed: TemplatesFlushed = session.call("TemplateFlush", filter)?;
    if session.json {
        return session.print_json(&flushed);
    }
    let count = flushed.flushed;
    Ok(writeln!(session.out, "{count} templates flushed")?)
}

/// Prints those that are meant.
pub(super) fn list(filter: &TemplateFilter, session: &mut Session<'_>) -> Result<(), Failure> {
    if session.json {
        return session.print_reply("TemplateList", filter);
    }
    session.pages("TemplateList", filter, head, |out, page: Templates| {
        page.templates.iter().try_for_each(|one| print(out, one))
    })
}

fn head(out: &mut dyn Write) -> io::Result<()> {
    let names = ["Client", "Route", "Nexthop", "State", "Idle", "Expires"];
    line(out, names)
}

fn print(out: &mut dyn Write, template: &Template) -> io::Result<()> {
    let seconds = |of: Option<u32>| of.map_or_else(|| "-".into(), |s| s.to_string());
    let route = match template.destination {
        None => template
            .group
            .map_or_else(|| "-".into(), |group| format!("group {group}")),
        Some(prefix) => names::destination(prefix) + &names::in_fib(" fib ", template.fib),
    };
    let nexthop = &template.nexthop;
    // A next hop that is no more has no name.
    let name = match nexthop.port {
        None => "-".into(),
        Some(_) => nexthop.name(),
    };
    line(
        out,
        [
            &template.client.to_string(),
            &route,
            &name,
            &nexthop.state,
            &seconds(template.idle),
            &seconds(template.expires),
        ],
    )
}

/// Widths that IPv4 fits into; a longer text pushes its line, nothing is cut.
fn line(out: &mut dyn Write, columns: [&str; 6]) -> io::Result<()> {
    let [client, route, nexthop, state, idle, expires] = columns;
    writeln!(
        out,
        "{client:<18} {route:<18} {nexthop:<15} {state:<7} {idle:>7} {expires:>7}"
    )
}

#[cfg(test)]
mod tests {
    use crate::cli::test_support::run_command;
    use crate::server::fake::Fake;

    fn prints(line: &str) -> String {
        let (out, error, status) = run_command(Fake::small(), line);
        assert_eq!((error, status), (None, 0), "{line}");
        out
    }

    fn refused(line: &str) -> String {
        let (out, error, status) = run_command(Fake::small(), line);
        assert_eq!((out.as_str(), status), ("", 64), "{line}");
        error.unwrap()
    }

    #[test]
    fn templates_are_listed_a_line_each() {
        let expected = "\
Client             Route              Nexthop         State      Idle Expires
10.7.1.0/24        203.0.113.0/24     192.0.2.11      live          -       -
10.7.2.0/24        203.0.113.0/24     192.0.2.12      live         60    1740
2001:db8:7::/64    -                  -               gone       1000     800
";
        assert_eq!(prints("template list"), expected);
        let one = prints("template list --nexthop 192.0.2.12");
        assert_eq!(one.lines().count(), 2);
        assert!(one.contains("\n10.7.2.0/24 "), "{one}");
        let none = prints("template list --client 10.9.0.0/16");
        assert_eq!(none.lines().count(), 1);
    }

    #[test]
    fn json_is_the_reply() {
        let text = prints("template list --client 10.7.2.0/24 --json");
        let expected = r#"{"templates":[{"client":"10.7.2.0/24","destination":"203.0.113.0/24","nexthop":{"kind":"gateway","gateway":"192.0.2.12","port":"rack","nexthop":1,"generation":7,"state":"live"},"idle":60,"expires":1740}]}"#;
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&text), value(expected));
        let flushed = prints("template flush --all --json");
        assert_eq!(flushed, "{\"flushed\":3}\n");
    }

    #[test]
    fn a_flush_of_everything_must_be_meant() {
        assert_eq!(
            refused("template flush"),
            "template flush without a filter forgets every template: say --all if that is meant"
        );
        assert_eq!(
            refused("template flush --all --client 10.7.1.0/24"),
            "--all forgets every template, a filter some of them: leave one of the two out"
        );
        assert_eq!(
            refused("template list --client 10.7.1.1/24"),
            "10.7.1.1/24 has host bits set: write 10.7.1.0/24"
        );
        assert_eq!(prints("template flush --all"), "3 templates flushed\n");
        let some = prints("template flush --nexthop 192.0.2.11");
        assert_eq!(some, "1 templates flushed\n");
    }
}
