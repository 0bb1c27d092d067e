//! `flow timeout`: how long silent flows are kept, of all and of the classes that routes name.

use super::exit::Failure;
use super::exit::usage;
use super::session::Session;
use crate::client::Error;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::timeout;
use crate::wire::timeout::FlowTimeoutDelete;
use crate::wire::timeout::FlowTimeoutSet;
use crate::wire::timeout::FlowTimeouts;
use crate::wire::timeout::TIMEOUT_MAX;
use crate::wire::timeout::Timeout;
use crate::wire::timeout::TimeoutsOf;
use crate::wire::timeout::state;
use route::TimeoutClass;
use serde_json::json;
use std::io;
use std::io::Write;

/// Shows all timeouts, or one, or a class's; or changes one.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(super) fn run(
    name: Option<String>,
    seconds: Option<u32>,
    class: Option<&str>,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    if let Some(name) = &name
        && let Err(message) = state(name)
    {
        return usage(&message);
    }
    let class = class.map(read).transpose()?;
    let mut all = match (&name, seconds) {
        (Some(name), Some(seconds)) => set(name, seconds, class, session)?,
        _ => session.call("FlowTimeouts", &json!({}))?,
    };
    if class.is_some() || name.is_some() && seconds.is_some() {
        only(class.unwrap_or_default(), &mut all)?;
    }
    if let Some(name) = &name {
        let of_classes = all.classes.iter_mut().map(|class| &mut class.timeouts);
        for timeouts in of_classes.chain([&mut all.timeouts]) {
            timeouts.retain(|timeout| timeout.name == *name);
        }
    }
    if session.json {
        return session.print_json(&all);
    }
    Ok(print(session.out, &all, class.is_some())?)
}

/// Deletes a class.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(super) fn delete(class: &str, session: &mut Session<'_>) -> Result<(), Failure> {
    let class = read(class)?;
    let left: FlowTimeouts = session.call("FlowTimeoutDelete", &FlowTimeoutDelete { class })?;
    if session.json {
        return session.print_json(&left);
    }
    Ok(writeln!(session.out, "timeouts {class} deleted")?)
}

fn read(class: &str) -> Result<TimeoutClass, Failure> {
    timeout::class(class).map_err(Failure::Usage)
}

fn set(
    name: &str,
    seconds: u32,
    class: Option<TimeoutClass>,
    session: &mut Session<'_>,
) -> Result<FlowTimeouts, Failure> {
    if !(1..=TIMEOUT_MAX).contains(&seconds) {
        return usage(format!("{seconds} seconds: write 1 to {TIMEOUT_MAX}"));
    }
    let ask = FlowTimeoutSet {
        name: name.into(),
        seconds,
        class: class.filter(|class| !class.is_default()),
    };
    Ok(session.call("FlowTimeoutSet", &ask)?)
}

/// Leaves one class's.
fn only(class: TimeoutClass, all: &mut FlowTimeouts) -> Result<(), Failure> {
    if class.is_default() {
        all.classes.clear();
        return Ok(());
    }
    all.timeouts.clear();
    let names: Vec<String> = all.classes.iter().map(|of| of.class.to_string()).collect();
    all.classes.retain(|of| of.class == class);
    if all.classes.is_empty() {
        let others = names.iter().map(|name| format!(", {name}"));
        let line = format!(
            "no timeouts are called {class}: there are default{}",
            others.collect::<String>()
        );
        let error = CallError::refused(Reason::NotFound, line);
        return Err(Failure::Client(Error::Call(error)));
    }
    Ok(())
}

/// Of a class among others, only where it is not as by default.
fn print(out: &mut dyn Write, all: &FlowTimeouts, of_one: bool) -> io::Result<()> {
    for timeout in &all.timeouts {
        writeln!(out, "{}", line(timeout))?;
    }
    for class in &all.classes {
        writeln!(out, "{} ({}):", class.class, users(class))?;
        for timeout in &class.timeouts {
            if of_one || timeout.seconds != timeout.default {
                writeln!(out, "\t{}", line(timeout))?;
            }
        }
    }
    Ok(())
}

fn line(timeout: &Timeout) -> String {
    let Timeout {
        name,
        seconds,
        default,
    } = timeout;
    let note = match seconds == default {
        true => String::new(),
        false => format!(" (default {default})"),
    };
    format!("{name:<16}{seconds:>7} s{note}")
}

/// Who gives a class to flows.
fn users(class: &TimeoutsOf) -> String {
    let routes = super::names::counted(class.routes.into(), "route") + &named(class);
    let groups = class
        .groups
        .iter()
        .map(|number| format!(", group {number}"));
    routes + &groups.collect::<String>()
}

/// The first routes, and how many more there are.
fn named(class: &TimeoutsOf) -> String {
    if class.first.is_empty() {
        return String::new();
    }
    let names = class.first.iter().map(|route| {
        let fib = super::names::in_fib(" of FIB ", route.fib);
        format!("{}{fib}", route.destination)
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match u64::from(class.routes).saturating_sub(class.first.len() as u64) {
        0 => format!(": {names}"),
        more => format!(": {names} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::test_support::run_command;
    use crate::server::fake::Fake;

    use super::*;

    fn prints(line: &str) -> String {
        let (out, error, status) = run_command(Fake::small(), line);
        assert_eq!((error, status), (None, 0), "{line}");
        out
    }

    #[test]
    fn timeouts_are_shown_and_changed() {
        let all = prints("flow timeout");
        assert_eq!(all.lines().count(), 13);
        assert!(
            all.starts_with("tcp-syn             240 s (default 75)\n"),
            "{all}"
        );
        assert_eq!(
            prints("flow timeout tcp-fin-wait"),
            "tcp-fin-wait        240 s\n"
        );
        assert_eq!(
            prints("flow timeout udp-two-way 60"),
            "udp-two-way          60 s (default 300)\n"
        );
        let json = prints("flow timeout udp-two-way 60 --json");
        assert!(json.contains("\"seconds\":60"), "{json}");
        let wrong = |line: &str| {
            let (_, error, status) = run_command(Fake::small(), line);
            (error.unwrap_or_default(), status)
        };
        let (error, status) = wrong("flow timeout udp 60");
        assert!(
            error.starts_with("no timeout udp: there are tcp-syn,") && status == 64,
            "{error}"
        );
        let (error, status) = wrong("flow timeout udp-two-way 0");
        assert_eq!(
            (error.as_str(), status),
            ("0 seconds: write 1 to 604800", 64)
        );
    }

    #[test]
    fn a_class_is_made_shown_and_deleted() {
        assert_eq!(
            prints("flow timeout --class dns udp-two-way 9"),
            "dns (2 routes: 10.0.0.0/8, 10.1.0.0/16 of FIB 1, group 7):\n\tudp-two-way           9 s (default 240)\n"
        );
        let json = prints("flow timeout --class dns udp-two-way 9 --json");
        let whole = r#"{"timeouts":[],"classes":[{"class":"dns","routes":2,"groups":[7],"first":[{"destination":"10.0.0.0/8"},{"destination":"10.1.0.0/16","fib":1}],"timeouts":[{"name":"udp-two-way","seconds":9,"default":240}]}]}"#;
        assert_eq!(json.trim_end(), whole);
        let same = prints("flow timeout --class default");
        assert_eq!(same, prints("flow timeout"));
        assert_eq!(
            prints("flow timeout --delete web"),
            "timeouts web deleted\n"
        );
        let wrong = |line: &str| {
            let (_, error, status) = run_command(Fake::small(), line);
            (error.unwrap_or_default(), status)
        };
        let none = "no timeouts are called dns: there are default".to_owned();
        assert_eq!(wrong("flow timeout --class dns"), (none, 1));
        assert_eq!(wrong("flow timeout --delete dns").1, 1);
        // Told as what the gateway refuses is: behind the tool's name.
        let absent = only("dns".parse().unwrap(), &mut FlowTimeouts::of(|_| 1));
        assert!(matches!(absent, Err(Failure::Client(_))));
        let (error, status) = wrong("flow timeout --class a.b");
        assert!(error.contains("write 1 to 15 letters") && status == 64);
        for name in ["-web", "udp-two-way"] {
            let (_, status) = wrong(&format!("flow timeout --class={name} tcp-syn 9"));
            assert_eq!(status, 64, "{name}");
        }
    }
}
