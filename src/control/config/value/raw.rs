//! Values as they were written: typed, each with the place it stands at, none of them resolved.
//!
//! One struct, made by the [`schema`](super::super::schema), is read by clap from the command line
//! and by serde from the file. What the command line says wins, and a list given there replaces the
//! file's whole list.

use std::marker::PhantomData;
use std::{fmt, str};

use clap::ArgMatches;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use toml::Spanned;

use super::Value;
use crate::control::config::file::source::{ConfigError, ConfigText, WrittenAt};
use crate::control::config::schema::key::{Key, Preset};

/// A value and the place it was written at.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) place: WrittenAt,
}

impl<'de, T: Value> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Read<T>>::deserialize(source)?;
        let place = WrittenAt::File(spanned.span().start);
        Ok(Self { value: spanned.into_inner().0, place })
    }
}

/// A value read from whatever scalar the file has.
struct Read<T>(T);

impl<'de, T: Value> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(Scalar(PhantomData)).map(Read)
    }
}

struct Scalar<T>(PhantomData<T>);

impl<T: Value> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("one value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<T, E> {
        self.visit_str(if truth { "true" } else { "false" })
    }
}

/// What a list has: in the file an array, or one value by itself.
#[derive(Clone, Debug)]
pub(crate) struct GivenList<T>(Vec<Given<T>>);

impl<T> std::ops::Deref for GivenList<T> {
    type Target = [Given<T>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a, T> IntoIterator for &'a GivenList<T> {
    type Item = &'a Given<T>;
    type IntoIter = std::slice::Iter<'a, Given<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Value> Deserialize<'de> for GivenList<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<ScalarOrArray<T>>::deserialize(source)?;
        let place = WrittenAt::File(spanned.span().start);
        Ok(Self(match spanned.into_inner() {
            ScalarOrArray::Scalar(value) => vec![Given { value, place }],
            ScalarOrArray::Array(values) => values,
        }))
    }
}

enum ScalarOrArray<T> {
    Scalar(T),
    Array(Vec<Given<T>>),
}

impl<'de, T: Value> Deserialize<'de> for ScalarOrArray<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(Values(PhantomData))
    }
}

struct Values<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for Values<T> {
    type Value = ScalarOrArray<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("one value or an array of them")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = array.next_element()? {
            values.push(value);
        }
        Ok(ScalarOrArray::Array(values))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Scalar(PhantomData).visit_str(text).map(ScalarOrArray::Scalar)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Scalar(PhantomData).visit_i64(number).map(ScalarOrArray::Scalar)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Scalar(PhantomData).visit_f64(number).map(ScalarOrArray::Scalar)
    }

    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Self::Value, E> {
        Scalar(PhantomData).visit_bool(truth).map(ScalarOrArray::Scalar)
    }
}

/// Reads the text of a variable that has one value.
fn variable<T: Value>(text: &str) -> Result<Given<T>, String> {
    T::read(text).map(|value| Given { value, place: WrittenAt::Variable })
}

/// Reads the text of a variable that has a list: words, or a TOML array of strings. An IPv6
/// address begins with a bracket, too.
fn variables<T: Value>(text: &str) -> Result<GivenList<T>, String> {
    let is_array = text.starts_with("[\"") || text.starts_with("['");
    if !is_array {
        return text.split_whitespace().map(variable).collect::<Result<_, _>>().map(GivenList);
    }
    #[derive(serde::Deserialize)]
    struct Line {
        values: Vec<String>,
    }
    // What toml says of a fault may repeat a secret.
    let line: Result<Line, _> = toml::from_str(&format!("values = {text}"));
    let Line { values } = line.map_err(|_| "it is no TOML array of strings".to_owned())?;
    values.iter().map(|text| variable(text)).collect::<Result<_, _>>().map(GivenList)
}

/// Reads a value of the command line.
pub(in crate::control) fn flag<T: Value>(text: &str) -> Result<Given<T>, String> {
    T::read(text).map(|value| Given { value, place: WrittenAt::Flag })
}

/// How often a key may be given, and what it comes to.
pub(crate) trait How {
    /// As it was written; `None` where it was not.
    type Given;
    /// As it is settled.
    type Settled;
    /// Whether it may be given several times.
    const IS_LIST: bool;

    /// What the command line says of it.
    fn flagged(matches: &ArgMatches, name: &str) -> Self::Given;

    /// What a variable of the environment says of it.
    fn worded(text: &str) -> Result<Self::Given, String>;

    /// Holds it to its bounds, and gives the default where it was not given.
    fn settle(
        source: &ConfigText,
        key: &Key,
        given: &Self::Given,
    ) -> Result<Self::Settled, ConfigError>;

    /// The value in TOML; `None` where there is none.
    fn shown(settled: &Self::Settled) -> Option<String>;
}

/// A key that has one value, if only its default.
pub(crate) struct One<T>(PhantomData<T>);
/// A key that may have no value; what that means is up to the machine, or nothing.
pub(crate) struct Maybe<T>(PhantomData<T>);
/// A key with any number of values.
pub(crate) struct Many<T>(PhantomData<T>);

impl<T: Value> How for One<T> {
    type Given = Option<Given<T>>;
    type Settled = T;
    const IS_LIST: bool = false;

    fn flagged(matches: &ArgMatches, name: &str) -> Self::Given {
        matches.get_one(name).cloned()
    }

    fn worded(text: &str) -> Result<Self::Given, String> {
        variable(text).map(Some)
    }

    fn settle(source: &ConfigText, key: &Key, given: &Self::Given) -> Result<T, ConfigError> {
        let Some(given) = given else {
            let default = match key.default {
                Preset::Value(text) => T::read(text),
                Preset::Number(number) => T::read(&number.to_string()),
                Preset::Words(words) => Err(format!("{words} is no value")),
            };
            return Ok(default.expect("the defaults of the schema are valid values"));
        };
        checked(source, key, given)
    }

    fn shown(settled: &T) -> Option<String> {
        Some(settled.written().to_string())
    }
}

impl<T: Value> How for Maybe<T> {
    type Given = Option<Given<T>>;
    type Settled = Option<T>;
    const IS_LIST: bool = false;

    fn flagged(matches: &ArgMatches, name: &str) -> Self::Given {
        matches.get_one(name).cloned()
    }

    fn worded(text: &str) -> Result<Self::Given, String> {
        variable(text).map(Some)
    }

    fn settle(
        source: &ConfigText,
        key: &Key,
        given: &Self::Given,
    ) -> Result<Option<T>, ConfigError> {
        given.as_ref().map(|given| checked(source, key, given)).transpose()
    }

    fn shown(settled: &Option<T>) -> Option<String> {
        settled.as_ref().map(|value| value.written().to_string())
    }
}

impl<T: Value> How for Many<T> {
    type Given = Option<GivenList<T>>;
    type Settled = Vec<T>;
    const IS_LIST: bool = true;

    fn flagged(matches: &ArgMatches, name: &str) -> Self::Given {
        matches.get_many(name).map(|given| GivenList(given.cloned().collect()))
    }

    fn worded(text: &str) -> Result<Self::Given, String> {
        variables(text).map(Some)
    }

    fn settle(source: &ConfigText, key: &Key, given: &Self::Given) -> Result<Vec<T>, ConfigError> {
        given.iter().flatten().map(|given| checked(source, key, given)).collect()
    }

    fn shown(settled: &Vec<T>) -> Option<String> {
        Some(toml::Value::Array(settled.iter().map(Value::written).collect()).to_string())
    }
}

fn checked<T: Value>(source: &ConfigText, key: &Key, given: &Given<T>) -> Result<T, ConfigError> {
    let Given { value, place } = given;
    value.check(key).map_err(|problem| source.error(Some(*place), key.name, problem))?;
    Ok(value.clone())
}
