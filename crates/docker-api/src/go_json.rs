//! What Go's JSON does that serde's does not.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Go's `struct{}`: the value of a map that is used as a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyObject {}

/// For `omitempty` on numbers, strings and booleans.
pub(crate) fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// For `omitempty` on a list.
pub(crate) fn has_no_items<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

/// For `omitempty` on a map.
pub(crate) fn has_no_entries<K, V>(map: &Option<BTreeMap<K, V>>) -> bool {
    map.as_ref().is_none_or(BTreeMap::is_empty)
}

/// Docker's `StrSlice`: a list of strings, or one string that stands for a list of one.
pub(crate) fn string_or_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<Option<String>>),
        One(String),
    }
    let either = Option::<Either>::deserialize(deserializer).map_err(|_| {
        serde::de::Error::custom("invalid type: expected a list of strings, or a string")
    })?;
    Ok(either.map(|either| match either {
        Either::List(list) => list.into_iter().map(Option::unwrap_or_default).collect(),
        Either::One(one) => vec![one],
    }))
}
