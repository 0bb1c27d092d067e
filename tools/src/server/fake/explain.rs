//! The fake's one explanation.

use crate::wire::explain::Explain;
use crate::wire::explain::ExplainStep;
use crate::wire::explain::Explained;

pub(super) fn explained(ask: &Explain) -> Explained {
    let step = |stage: &str, goes_on, cause: &str| ExplainStep {
        stage: stage.into(),
        goes_on,
        cause: cause.into(),
    };
    let assumed = ask.port.is_none();
    Explained {
        packet: "tcp 10.0.0.2:1 > 203.0.113.10:80 [S], 40 bytes, TTL 64".into(),
        port: "uplink".into(),
        assumed: assumed
            .then(|| "in by uplink, where the route to 10.0.0.2 leads".into())
            .into_iter()
            .collect(),
        steps: vec![
            step("port", true, "in by uplink, which is up"),
            step("transit", false, "TTL 1 is used up here"),
            step("icmp", true, "time exceeded in transit to 10.0.0.2"),
        ],
        verdict: "drop".into(),
        reason: Some("ips_ttlexpired".into()),
        text: Some("packets with time to live exceeded".into()),
        icmp: Some("time exceeded in transit".into()),
        ..Explained::default()
    }
}
