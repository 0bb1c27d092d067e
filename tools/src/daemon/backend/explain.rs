//! `Explain`: names and bytes in, control's explanation out.

use super::Live;
use super::refusal::refused;
use crate::server::Answer;
use crate::wire::explain as wire;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::protocol;
use route::FibId;
use route::PortId;
use stack::ControlError;
use stack::control::Explanation;
use stack::control::Framing;
use stack::control::PacketAsk;
use stack::control::TupleAsk;
use stack::control::Turn;
use stack::control::Verdict;
use stack::parse::Addrs;
use stack::parse::Tuple;
use stack::ports::Layer;
use std::fmt::Write;
use std::net::IpAddr;

impl Live {
    pub(super) fn explain_one(&self, ask: wire::Explain) -> Answer<wire::Explained> {
        let ask = ask.checked()?;
        let port = ask.port.as_deref().map(|name| self.port_called(name));
        let port = port.transpose()?;
        let explained = match (ask.bytes()?, port, &ask.flow) {
            (Some(bytes), Some((port, layer)), _) => {
                let framing = ask.framing.map_or_else(|| framing_of(layer), framing);
                let packet = PacketAsk {
                    port,
                    framing,
                    bytes: &bytes,
                };
                let explained = self.control.explain(&packet, self.now());
                explained.map(|explained| (explained, Vec::new()))
            }
            (_, port, Some(flow)) => {
                let flow = TupleAsk {
                    tuple: tuple(flow)?,
                    port: port.map(|(id, _)| id),
                    fib: ask.fib.map(FibId),
                    turn: ask.turn.map(turn),
                };
                self.control.explain_tuple(&flow, self.now())
            }
            _ => return Err(invalid("nothing to explain: name a packet or a flow")),
        };
        let (explained, assumed) = explained.map_err(|error| refused(&error))?;
        Ok(self.told_explanation(explained, assumed))
    }

    fn port_called(&self, name: &str) -> Answer<(PortId, Layer)> {
        let ports = self.control.ports();
        let port = ports.named(name).ok_or_else(|| {
            let names: Vec<_> = ports.0.iter().map(|port| port.name.as_str()).collect();
            refused(&ControlError::NoSuchPort {
                name: name.to_owned(),
                ports: format!("ports: {}", names.join(", ")),
            })
        })?;
        Ok((port.id, port.layer))
    }

    fn told_explanation(&self, of: Explanation, assumed: Vec<String>) -> wire::Explained {
        let (reason, answer) = match of.verdict {
            Verdict::Drop { reason, answer } => (Some(reason), answer),
            _ => (None, None),
        };
        let steps = of.steps.iter().map(|step| wire::ExplainStep {
            stage: step.stage.name().to_owned(),
            goes_on: step.goes_on,
            cause: step.cause.clone(),
        });
        let found = &of.found;
        wire::Explained {
            port: self.port_name(of.port),
            assumed,
            steps: steps.collect(),
            verdict: of.verdict.name().to_owned(),
            reason: reason.map(|reason| reason.name_in(of.v6)),
            text: reason.map(|reason| reason.text().to_owned()),
            icmp: answer.map(|answer| answer.words()),
            out: self.out_of(&of.verdict),
            worker: found
                .owner
                .and_then(|(_, worker)| u16::try_from(worker).ok()),
            slot: found.owner.map(|(slot, _)| slot.0),
            destination: found.route.and_then(|(prefix, _)| prefix),
            group: found.route.map(|(_, group)| group.0),
            bucket: found.bucket.map(|(bucket, _)| bucket),
            buckets: found.bucket.map(|(_, buckets)| buckets),
            pin: found.pin.map(|pin| pin.idx().0),
            unsure: found.unsure,
            packet: of.packet,
        }
    }

    fn out_of(&self, verdict: &Verdict) -> Option<wire::ExplainOut> {
        let Verdict::Forward(way) = verdict else {
            return None;
        };
        let info = self.control.nhop(way.nhop.idx());
        let header = way.header.map(|header| {
            header.iter().fold(String::new(), |mut text, byte| {
                // A String takes everything.
                let _ = write!(text, "{byte:02x}");
                text
            })
        });
        Some(wire::ExplainOut {
            port: self.port_name(way.port),
            nexthop: way.nhop.idx().0,
            generation: way.nhop.generation().0,
            gateway: info.and_then(|info| info.key.gateway),
            header,
            pieces: u32::try_from(way.pieces).unwrap_or(u32::MAX),
        })
    }
}

fn invalid(line: impl Into<String>) -> CallError {
    CallError::refused(Reason::Invalid, line.into())
}

const fn framing_of(layer: Layer) -> Framing {
    match layer {
        Layer::L2(_) => Framing::Ether,
        Layer::L3 => Framing::Ip,
    }
}

const fn framing(of: wire::Framing) -> Framing {
    match of {
        wire::Framing::Ether => Framing::Ether,
        wire::Framing::Ip => Framing::Ip,
    }
}

const fn turn(of: wire::Turn) -> Turn {
    match of {
        wire::Turn::First => Turn::First,
        wire::Turn::Later => Turn::Later,
    }
}

/// ICMP has one identifier, which stands for both ports.
fn tuple(flow: &wire::ExplainFlow) -> Answer<Tuple> {
    let addrs = match (flow.source, flow.destination) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Addrs::V4 {
            src: src.to_bits(),
            dst: dst.to_bits(),
        },
        (IpAddr::V6(src), IpAddr::V6(dst)) => Addrs::V6 {
            src: src.to_bits(),
            dst: dst.to_bits(),
        },
        (src, dst) => {
            return Err(invalid(format!(
                "{src} and {dst} are of different families"
            )));
        }
    };
    let proto = protocol::number(&flow.protocol).map_err(invalid)?;
    let is_icmp = matches!(
        proto,
        stack::parse::proto::ICMP | stack::parse::proto::ICMP6
    );
    Ok(Tuple {
        addrs,
        sport: flow.source_port,
        dport: if is_icmp {
            flow.source_port
        } else {
            flow.destination_port
        },
        proto,
    })
}
