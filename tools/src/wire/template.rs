//! Affinity templates on the wire: which next hop the flows of a client network share, and for how long.

use super::flow::FlowNexthop;
use super::route::is_first_fib;
use super::text;
use route::Prefix;
use serde::Deserialize;
use serde::Serialize;
use std::net::IpAddr;

/// Parameters of `TemplateList` and `TemplateFlush`: which templates. What is left out matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateFilter {
    /// The client network lies in this prefix, or holds it.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub client: Option<Prefix>,
    /// Flows go to the next hop with this gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nexthop: Option<IpAddr>,
}

/// A template: a client network under a sticky route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// The client network.
    #[serde(with = "text")]
    pub client: Prefix,
    /// The sticky route's destination; absent when it is a group's, and when that route is no more, or not sticky any more.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub destination: Option<Prefix>,
    /// Or the sticky group's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// The FIB of that route.
    #[serde(default, skip_serializing_if = "is_first_fib")]
    pub fib: u8,
    /// Where the client's flows go.
    pub nexthop: FlowNexthop,
    /// Seconds since its clock runs; absent while it has flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<u32>,
    /// Seconds until it expires if no flow comes; absent while it has flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u32>,
}

/// A page of `TemplateList`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Templates {
    /// In the table's order.
    pub templates: Vec<Template>,
}

/// What `TemplateFlush` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TemplatesFlushed {
    /// How many templates were forgotten.
    pub flushed: u64,
}
