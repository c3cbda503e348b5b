//! How names are written where the engine saves what it knows: in the text form that their own type parses.

/// What has a strict text form, as that text.
pub(crate) mod strict {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>
    where
        T::Err: Display,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A CID as atproto writes it.
pub(crate) mod cid {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use sheaf_repo::cid::{self, Cid};

    pub(crate) fn serialize<S: Serializer>(value: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&cid::text(value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        cid::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
