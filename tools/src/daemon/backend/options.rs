//! Options of routes, as the wire and as control have them.

use crate::server::Answer;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::options::Failback;
use crate::wire::options::Options;
use crate::wire::options::Select;
use crate::wire::options::Sticky;
use route::GroupNo;
use route::OptionsAsked;
use route::Prefix;
use route::Selection;
use route::StickyAsked;

/// What a request asks for.
///
/// # Errors
/// If something is out of bounds.
pub(crate) fn asked(destination: Prefix, options: &Options) -> Answer<OptionsAsked> {
    let refused = |line: String| CallError::refused(Reason::Invalid, &line);
    options.check(destination).map_err(refused)?;
    Ok(OptionsAsked {
        selection: options.select.map(selection),
        sticky: options.sticky.map(|sticky| StickyAsked {
            len: sticky.length,
            timeout: sticky.timeout,
        }),
        failback: options.failback.map(|failback| match failback {
            Failback::Stay => route::Failback::Stay,
            Failback::Return => route::Failback::Return,
        }),
        slow_start: options.slow_start,
        buckets: options.buckets,
        group: options.group.map(GroupNo),
        timeouts: options.timeouts,
    })
}

/// What a group has: its selection always, the rest where it is not as by default.
pub(in crate::daemon) fn options_of(options: route::Options) -> Options {
    Options {
        select: Some(select(options.selection)),
        sticky: options.sticky.map(|sticky| Sticky {
            length: Some(sticky.len).filter(|len| *len < 128),
            timeout: Some(sticky.timeout),
        }),
        failback: match options.failback {
            route::Failback::Stay => None,
            route::Failback::Return => Some(Failback::Return),
        },
        slow_start: Some(options.slow_start).filter(|seconds| *seconds > 0),
        buckets: Some(options.buckets).filter(|buckets| *buckets > 0),
        group: options.group.map(|number| number.0),
        timeouts: Some(options.timeouts.numbered(0)).filter(|class| !class.is_default()),
    }
}

const fn selection(select: Select) -> Selection {
    match select {
        Select::Tuple => Selection::Tuple,
        Select::Source => Selection::Source,
        Select::SourceDestination => Selection::SourceDestination,
        Select::ModN => Selection::ModN,
    }
}

const fn select(selection: Selection) -> Select {
    match selection {
        Selection::Tuple => Select::Tuple,
        Selection::Source => Select::Source,
        Selection::SourceDestination => Select::SourceDestination,
        Selection::ModN => Select::ModN,
    }
}
