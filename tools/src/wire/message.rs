//! The envelope: requests, replies, and the errors that a call can end with.
//!
//! Invariant: an error's name is either one of varlink's own (`org.varlink.service.*`) or `org.flowgate.` and a
//! [`Reason`]; each of flowgate's carries `message`, one line that says what is wrong and what would be right.

use super::INTERFACE;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// A call, as a client sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The interface and the method, `org.flowgate.RouteAdd`.
    pub method: String,
    /// The method's parameters: an object, empty when left out.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub parameters: Value,
    /// The client takes several replies.
    #[serde(default, skip_serializing_if = "is_false")]
    pub more: bool,
    /// The client wants no reply.
    #[serde(default, skip_serializing_if = "is_false")]
    pub oneway: bool,
}

/// An answer, as a flowgate sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The error's name, when the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the method answers, or the error's particulars.
    #[serde(default)]
    pub parameters: Value,
    /// More replies to the same call follow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub continues: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Why flowgate itself refused: the closed list of `org.flowgate` errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The route or member is in the table already.
    AlreadyExists,
    /// More than one member matches: name one.
    Ambiguous,
    /// Too many clients at once.
    Busy,
    /// The caller's user is not served.
    Denied,
    /// A value is out of range, or values contradict each other.
    Invalid,
    /// The message cannot be read at all: cut short, too long or no JSON. The connection ends.
    Malformed,
    /// The client read its monitor's events too slowly and missed some.
    Missed,
    /// What the call names is not there.
    NotFound,
    /// The gateway ends.
    Stopping,
    /// A table is at its limit.
    TableFull,
    /// No port can reach the gateway.
    Unreachable,
}

impl Reason {
    /// All of them, as the interface description lists them.
    pub const ALL: [Self; 11] = [
        Self::AlreadyExists,
        Self::Ambiguous,
        Self::Busy,
        Self::Denied,
        Self::Invalid,
        Self::Malformed,
        Self::Missed,
        Self::NotFound,
        Self::Stopping,
        Self::TableFull,
        Self::Unreachable,
    ];

    /// Its name within the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlreadyExists => "AlreadyExists",
            Self::Ambiguous => "Ambiguous",
            Self::Busy => "Busy",
            Self::Denied => "Denied",
            Self::Invalid => "Invalid",
            Self::Malformed => "Malformed",
            Self::Missed => "Missed",
            Self::NotFound => "NotFound",
            Self::Stopping => "Stopping",
            Self::TableFull => "TableFull",
            Self::Unreachable => "Unreachable",
        }
    }
}

/// A call's bad end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// Flowgate refused it; the text is one line that says what is wrong and what would be right.
    Refused(Reason, String),
    /// Flowgate has no such interface.
    InterfaceNotFound(String),
    /// The interface has no such method.
    MethodNotFound(String),
    /// The method is described but not served by this gateway.
    MethodNotImplemented(String),
    /// A parameter is missing, unknown, of the wrong type or not readable.
    InvalidParameter {
        /// Which one.
        parameter: String,
        /// What is wrong with it.
        message: String,
    },
    /// The method answers more than once: call it with `more`.
    ExpectedMore,
}

impl CallError {
    /// A refusal with its reason.
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused(reason, message.into())
    }

    /// The error's full name on the wire.
    pub fn name(&self) -> String {
        match self {
            Self::Refused(reason, _) => format!("{INTERFACE}.{}", reason.name()),
            Self::InterfaceNotFound(_) => "org.varlink.service.InterfaceNotFound".into(),
            Self::MethodNotFound(_) => "org.varlink.service.MethodNotFound".into(),
            Self::MethodNotImplemented(_) => "org.varlink.service.MethodNotImplemented".into(),
            Self::InvalidParameter { .. } => "org.varlink.service.InvalidParameter".into(),
            Self::ExpectedMore => "org.varlink.service.ExpectedMore".into(),
        }
    }

    fn parameters(&self) -> Value {
        match self {
            Self::Refused(_, message) => serde_json::json!({ "message": message }),
            Self::InterfaceNotFound(interface) => serde_json::json!({ "interface": interface }),
            Self::MethodNotFound(method) | Self::MethodNotImplemented(method) => {
                serde_json::json!({ "method": method })
            }
            Self::InvalidParameter { parameter, message } => {
                serde_json::json!({ "parameter": parameter, "message": message })
            }
            Self::ExpectedMore => serde_json::json!({}),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_, message) => f.write_str(message),
            Self::InterfaceNotFound(interface) => {
                write!(
                    f,
                    "no interface {interface}: this is a flowgate, it serves {INTERFACE}"
                )
            }
            Self::MethodNotFound(method) => write!(f, "no method {method}: see docs/CONTROL.md"),
            Self::MethodNotImplemented(method) => write!(f, "{method} is not served here"),
            Self::InvalidParameter { parameter, message } => write!(f, "{parameter}: {message}"),
            Self::ExpectedMore => f.write_str("this method answers many times: set \"more\""),
        }
    }
}

impl std::error::Error for CallError {}

impl From<&CallError> for Reply {
    fn from(error: &CallError) -> Self {
        Self {
            error: Some(error.name()),
            parameters: error.parameters(),
            continues: false,
        }
    }
}

impl Reply {
    /// The outcome that a client sees: the parameters, or the error, which may be one that this version
    /// does not know; then its name is kept in the text.
    pub fn outcome(self) -> Result<Value, CallError> {
        let Some(name) = self.error else {
            return Ok(self.parameters);
        };
        let text = |key: &str| match self.parameters.get(key) {
            Some(Value::String(text)) => text.clone(),
            _ => String::new(),
        };
        Err(match name.strip_prefix("org.varlink.service.") {
            Some("InterfaceNotFound") => CallError::InterfaceNotFound(text("interface")),
            Some("MethodNotFound") => CallError::MethodNotFound(text("method")),
            Some("MethodNotImplemented") => CallError::MethodNotImplemented(text("method")),
            Some("ExpectedMore") => CallError::ExpectedMore,
            Some("InvalidParameter") => CallError::InvalidParameter {
                parameter: text("parameter"),
                message: text("message"),
            },
            _ => own_error(&name, text("message")),
        })
    }
}

fn own_error(name: &str, message: String) -> CallError {
    let bare = name
        .strip_prefix(INTERFACE)
        .and_then(|rest| rest.strip_prefix('.'));
    match Reason::ALL
        .into_iter()
        .find(|reason| Some(reason.name()) == bare)
    {
        Some(reason) => CallError::Refused(reason, message),
        None => CallError::Refused(Reason::Invalid, format!("{name}: {message}")),
    }
}

/// Reads a method's parameters into their type.
///
/// # Errors
/// `InvalidParameter`, which names the parameter that is wrong.
pub fn parameters<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, CallError> {
    let value = if value.is_null() {
        Value::Object(Default::default())
    } else {
        value
    };
    if !value.is_object() {
        return Err(CallError::InvalidParameter {
            parameter: "parameters".into(),
            message: "write an object, {\"name\": value, ...}".into(),
        });
    }
    if let Some(parameter) = null_in(&value) {
        return Err(CallError::InvalidParameter {
            parameter,
            message: "null says nothing: leave it out, or give it a value".into(),
        });
    }
    T::deserialize(&value).map_err(|error| {
        let message = error.to_string();
        let parameter = offender::<T>(&value, &message);
        CallError::InvalidParameter { parameter, message }
    })
}

/// The first field that is null, wherever it lies: `paths.weight`. What is meant by leaving a field out is not for a null to
/// say.
fn null_in(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match value {
            Value::Null => Some(name.clone()),
            inner => null_in(inner).map(|inner| match inner.as_str() {
                "" => name.clone(),
                _ => format!("{name}.{inner}"),
            }),
        }),
        Value::Array(items) => items.iter().find_map(|item| match item {
            Value::Null => Some(String::new()),
            inner => null_in(inner),
        }),
        _ => None,
    }
}

/// The name of the parameter that an error speaks of: serde names missing and unknown ones in backticks; any other is
/// found as the one without which the message would be a different one.
fn offender<T: serde::de::DeserializeOwned>(value: &Value, message: &str) -> String {
    let named = message
        .split_once("field `")
        .and_then(|(_, rest)| rest.split_once('`'));
    if let Some((name, _)) = named {
        return name.to_owned();
    }
    let Some(object) = value.as_object() else {
        return "parameters".into();
    };
    let changes_the_error = |name: &&String| {
        let mut without = object.clone();
        without.remove(name.as_str());
        T::deserialize(Value::Object(without))
            .map_err(|e| e.to_string())
            .err()
            .as_deref()
            != Some(message)
    };
    object
        .keys()
        .find(changes_the_error)
        .cloned()
        .unwrap_or_else(|| "parameters".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only read in")]
        count: u32,
        #[expect(dead_code, reason = "only read in")]
        address: Option<std::net::IpAddr>,
    }

    fn wrong(value: Value) -> String {
        match parameters::<Sample>(value).unwrap_err() {
            CallError::InvalidParameter { parameter, .. } => parameter,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        assert_eq!(wrong(json!({})), "count");
        assert_eq!(wrong(Value::Null), "count");
        assert_eq!(wrong(json!({"count": "x"})), "count");
        assert_eq!(wrong(json!({"count": -1, "address": "10.0.0.1"})), "count");
        assert_eq!(
            wrong(json!({"count": 1, "address": "10.0.0.256"})),
            "address"
        );
        assert_eq!(wrong(json!({"count": 1, "colour": 2})), "colour");
        for no_object in [
            json!([1, "10.0.0.1"]),
            json!([1, null]),
            json!(7),
            json!("x"),
        ] {
            assert_eq!(wrong(no_object), "parameters");
        }
    }

    #[test]
    fn a_null_is_refused_wherever_it_lies() {
        use crate::wire::route::RouteChange;
        let null_at = |more: Value| {
            let mut all = json!({"destination": "10.0.0.0/8", "paths": []});
            all.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            match parameters::<RouteChange>(all).unwrap_err() {
                CallError::InvalidParameter { parameter, message } => {
                    assert!(message.starts_with("null says nothing"), "{message}");
                    parameter
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(null_at(json!({"deadline": null})), "deadline");
        assert_eq!(null_at(json!({"options": null})), "options");
        assert_eq!(
            null_at(json!({"options": {"sticky": null}})),
            "options.sticky"
        );
        assert_eq!(
            null_at(json!({"paths": [{"gateway": null}]})),
            "paths.gateway"
        );
        assert_eq!(null_at(json!({"paths": [null]})), "paths");
        let mut plan = json!({"plan": null});
        assert!(crate::wire::moves::How::take(&mut plan).is_err());
    }

    #[test]
    fn structs_in_parameters_are_objects_too() {
        use crate::wire::route::{RouteAdd, RouteGet};
        let add = |paths: Value| {
            parameters::<RouteAdd>(json!({"destination": "10.0.0.0/8", "paths": paths}))
        };
        let refused = |error: CallError| match error {
            CallError::InvalidParameter { parameter, .. } => parameter,
            other => panic!("{other:?}"),
        };
        let sequence = json!([["gateway", "192.0.2.11", null, 1, null]]);
        assert_eq!(refused(add(sequence).unwrap_err()), "paths");
        assert_eq!(
            refused(add(json!([{"gatway": "192.0.2.11"}])).unwrap_err()),
            "gatway"
        );
        add(json!([{"gateway": "192.0.2.11"}])).unwrap();
        let get =
            |flow: Value| parameters::<RouteGet>(json!({"destination": "10.0.0.1", "flow": flow}));
        assert_eq!(
            refused(get(json!(["tcp", "10.0.0.2", 1, 2])).unwrap_err()),
            "flow"
        );
        get(json!({"protocol": "tcp", "source": "10.0.0.2"})).unwrap();
        assert_eq!(refused(get(Value::Null).unwrap_err()), "flow");
    }

    #[test]
    fn every_error_survives_the_wire() {
        let own = Reason::ALL.map(|reason| CallError::refused(reason, "why"));
        let others = [
            CallError::InterfaceNotFound("a.b".into()),
            CallError::MethodNotFound("a.b.C".into()),
            CallError::MethodNotImplemented("a.b.C".into()),
            CallError::InvalidParameter {
                parameter: "p".into(),
                message: "m".into(),
            },
            CallError::ExpectedMore,
        ];
        for error in own.into_iter().chain(others) {
            let text = serde_json::to_string(&Reply::from(&error)).unwrap();
            let reply: Reply = serde_json::from_str(&text).unwrap();
            assert_eq!(reply.outcome(), Err(error));
        }
    }

    #[test]
    fn an_unknown_error_keeps_its_name() {
        let reply = json!({"error": "org.flowgate.Later", "parameters": {"message": "so"}});
        let error = serde_json::from_value::<Reply>(reply)
            .unwrap()
            .outcome()
            .unwrap_err();
        assert_eq!(error.to_string(), "org.flowgate.Later: so");
    }

    #[test]
    fn absent_flags_are_not_sent() {
        let request = Request {
            method: "m".into(),
            parameters: Value::Null,
            more: false,
            oneway: false,
        };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"method":"m"}"#
        );
    }
}
