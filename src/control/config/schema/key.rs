//! What an entry of the [schema](super) is, and the macro that makes everything from the entries.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use clap::{Arg, ArgAction};

use super::subjects::{is_common, subject};

/// One option: `--name` on the command line, `name = …` in the file.
#[derive(Clone, Debug)]
pub struct Key {
    /// Name on the command line (after two dashes) and in the file.
    pub name: &'static str,
    /// What a value looks like; becomes the value's name in `--help`.
    pub unit: &'static str,
    /// What holds when the option is not given.
    pub default: Preset,
    /// What a value may be.
    pub bounds: Bounds,
    /// What the option does, in one or two sentences.
    pub doc: &'static str,
    /// A value that is always valid.
    pub example: &'static str,
    /// True when the option may be given several times and is an array in the file.
    pub is_list: bool,
    /// When a changed value holds.
    pub when: When,
}

/// What holds when an option is not given.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// This value, as it would be written.
    Value(&'static str),
    /// This number.
    Number(u32),
    /// Something else, in words fit for a table: nothing, or what the machine has.
    Words(&'static str),
}

/// What a value may be.
#[derive(Clone, Debug)]
pub enum Bounds {
    /// What its type takes, in words fit for a table.
    Words(&'static str),
    /// A whole number in a range, and words that follow it, such as `, 0 for none`.
    Numbers(RangeInclusive<u32>, &'static str),
}

/// When a changed value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As soon as the file is read again.
    Live,
    /// After a restart: sockets, threads and rings are made once.
    Restart,
}

impl Key {
    /// The default in words fit for a table.
    pub fn default_words(&self) -> Cow<'static, str> {
        match self.default {
            Preset::Value(words) | Preset::Words(words) => words.into(),
            Preset::Number(number) => number.to_string().into(),
        }
    }

    /// The bounds in words fit for a table.
    pub fn bounds_words(&self) -> Cow<'static, str> {
        match &self.bounds {
            Bounds::Words(words) => (*words).into(),
            Bounds::Numbers(range, note) => {
                format!("{}-{}{note}", range.start(), range.end()).into()
            }
        }
    }

    /// Writes the text of `--help`: what the option does, its default and its bounds.
    pub fn help(&self) -> String {
        let (default, bounds) = (self.default_words(), self.bounds_words());
        format!("{} [default: {default}] [bounds: {bounds}]", self.doc)
    }

    /// The option as the command line takes it.
    pub(in crate::control) fn arg(&self) -> Arg {
        let action = if self.is_list { ArgAction::Append } else { ArgAction::Set };
        Arg::new(self.name)
            .long(self.name)
            .value_name(self.unit)
            .help(self.short_help())
            .long_help(self.help())
            .help_heading(subject(self.name))
            .hide_short_help(!is_common(self.name))
            .action(action)
            .allow_negative_numbers(true)
    }

    /// The first sentence of what the option does.
    fn short_help(&self) -> &'static str {
        self.doc.split_once(". ").map_or(self.doc, |(first, _)| first).trim_end_matches('.')
    }

    /// The number within the bounds that is closest to one.
    pub(in crate::control) fn clamp(&self, number: u32) -> u32 {
        match &self.bounds {
            Bounds::Numbers(range, _) => number.clamp(*range.start(), *range.end()),
            Bounds::Words(_) => number,
        }
    }

    /// Holds a number to the bounds, if they are those of one.
    pub(in crate::control) fn check_number(&self, number: u32) -> Result<(), String> {
        match &self.bounds {
            Bounds::Numbers(range, _) if !range.contains(&number) => {
                Err(format!("{number} is out of bounds: write {}", self.bounds_words()))
            }
            Bounds::Numbers(..) | Bounds::Words(_) => Ok(()),
        }
    }
}

/// Makes from entries: a [`Key`] constant each, `KEYS`, [`Options`](super::Options) with a field
/// each as they were written, and [`Values`](super::Values) with a field each as they are settled.
///
/// ```text
/// "name" CONSTANT field: How<Value>, When { what is said of it }
/// ```
///
/// `How` is one of [`One`](super::One), [`Maybe`](super::Maybe) and [`Many`](super::Many).
macro_rules! keys {
    ($(
        $name:literal $constant:ident $field:ident: $how:ident<$value:ty>, $when:ident {
            unit: $unit:expr,
            default: $default:expr,
            bounds: $bounds:expr,
            doc: $doc:expr,
            example: $example:expr,
        }
    )*) => {
        $(
            #[doc = $doc]
            pub const $constant: Key = Key {
                name: $name,
                unit: $unit,
                default: $default,
                bounds: $bounds,
                doc: $doc,
                example: $example,
                is_list: <$how<$value> as How>::IS_LIST,
                when: When::$when,
            };
        )*

        /// Every key, in the order of the command line and of the options table.
        pub const KEYS: &[Key] = &[$($constant),*];

        /// The field of every key, in the order of [`KEYS`].
        pub(super) const FIELDS: &[Field] = &[$(
            Field {
                key: &$constant,
                shown: |values| <$how<$value> as How>::shown(&values.$field),
                same: |one, other| one.$field == other.$field,
                keep: |new, held| new.$field.clone_from(&held.$field),
            }
        ),*];

        /// Every option as it was written on the command line or in the file, `None` where it was
        /// not.
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        pub struct Options {
            $(pub(crate) $field: <$how<$value> as How>::Given,)*
        }

        /// The value of every key, with its default where it was not given.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Values {
            $(#[doc = $doc] pub(crate) $field: <$how<$value> as How>::Settled,)*
        }

        impl Options {
            /// Lays these options over others: what is given here wins, lists as a whole.
            pub(crate) fn over(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)* }
            }

            /// Reads each option from the text that `text` has of its key, if it has any.
            pub(in crate::control) fn worded(
                text: &dyn Fn(&Key) -> Option<Result<String, ConfigError>>,
            ) -> Result<Self, ConfigError> {
                let nowhere = ConfigText::default();
                Ok(Self {
                    $($field: match text(&$constant) {
                        None => None,
                        Some(text) => <$how<$value> as How>::worded(&text?).map_err(|problem| {
                            nowhere.error(Some(WrittenAt::Variable), $name, problem)
                        })?,
                    },)*
                })
            }

            /// Settles each option by itself.
            pub(in crate::control) fn settle(&self, source: &ConfigText) -> Result<Values, ConfigError> {
                Ok(Values {
                    $($field: <$how<$value> as How>::settle(source, &$constant, &self.$field)?,)*
                })
            }
        }

        impl Args for Options {
            fn augment_args(command: Command) -> Command {
                command.args([$($constant.arg().value_parser(flag::<$value>)),*])
            }

            fn augment_args_for_update(command: Command) -> Command {
                Self::augment_args(command)
            }
        }

        impl FromArgMatches for Options {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self { $($field: <$how<$value> as How>::flagged(matches, $name),)* })
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                let above = Self::from_arg_matches(matches)?;
                *self = above.over(std::mem::take(self));
                Ok(())
            }
        }
    };
}

pub(super) use keys;
