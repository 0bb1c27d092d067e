//! Idle timeouts: 240 seconds each until one is set, and a class `web` that can be deleted.

use crate::server::Answer;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::timeout::*;

pub(super) fn set(ask: FlowTimeoutSet) -> Answer<FlowTimeouts> {
    let state = state(&ask.name).map_err(|message| CallError::InvalidParameter {
        parameter: "name".into(),
        message,
    })?;
    let now = |of| if of == state { ask.seconds } else { 240 };
    let Some(class) = ask.class else {
        return Ok(FlowTimeouts::of(now));
    };
    let all = FlowTimeouts::of(|_| 240);
    let class = TimeoutsOf {
        class,
        routes: 2,
        groups: vec![7],
        first: [("10.0.0.0/8", 0), ("10.1.0.0/16", 1)]
            .map(timed_route)
            .into(),
        timeouts: all.of_class(now),
    };
    Ok(FlowTimeouts {
        classes: vec![class],
        ..all
    })
}

pub(super) fn delete(ask: FlowTimeoutDelete) -> Answer<FlowTimeouts> {
    if ask.class.to_string() == "web" {
        return Ok(FlowTimeouts::of(|_| 240));
    }
    let line = format!("no timeouts are called {}", ask.class);
    Err(CallError::refused(Reason::NotFound, line))
}

fn timed_route((destination, fib): (&str, u8)) -> TimedRoute {
    TimedRoute {
        destination: destination.into(),
        fib,
    }
}
