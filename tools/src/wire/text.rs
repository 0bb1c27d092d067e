//! Serde for values that travel as their usual notation: prefixes, MAC addresses.
//! Used as `#[serde(with = "text")]`, or `text::option` for a field that may be left out.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serializer;
use serde::de::Error;
use std::fmt::Display;
use std::str::FromStr;

pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(from)?.parse().map_err(D::Error::custom)
}

/// Structs below a message's own: each must be an object. By itself serde takes a sequence of their fields as well.
pub(super) mod object {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::Map;
    use serde_json::Value;

    fn read<T: DeserializeOwned, E: Error>(object: Map<String, Value>) -> Result<T, E> {
        T::deserialize(Value::Object(object)).map_err(E::custom)
    }

    pub(in crate::wire) fn list<'de, T, D>(from: D) -> Result<Vec<T>, D::Error>
    where
        T: DeserializeOwned,
        D: Deserializer<'de>,
    {
        let objects = Vec::<Map<String, Value>>::deserialize(from)?;
        objects.into_iter().map(read).collect()
    }

    pub(in crate::wire) fn one<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: DeserializeOwned,
        D: Deserializer<'de>,
    {
        read(Map::<String, Value>::deserialize(from)?)
    }

    pub(in crate::wire) fn option<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: DeserializeOwned,
        D: Deserializer<'de>,
    {
        let object = Option::<Map<String, Value>>::deserialize(from)?;
        object.map(read).transpose()
    }
}

pub(super) mod option {
    use super::*;

    pub(in crate::wire) fn serialize<T, S>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error>
    where
        T: Display,
        S: Serializer,
    {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(in crate::wire) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}
