//! What is said of an option, wherever it is written.

/// One option: `--name` on the command line, `name = …` in the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name on the command line (after two dashes) and in the file.
    pub name: &'static str,
    /// What a value looks like; becomes the value's name in `--help`.
    pub unit: &'static str,
    /// What holds when the option is not given, in words fit for a table.
    pub default: &'static str,
    /// What a value may be, in words fit for a table.
    pub bounds: &'static str,
    /// What the option does, in one or two sentences.
    pub doc: &'static str,
    /// A value that is always valid.
    pub example: &'static str,
    /// True when the option may be given several times and is an array in the file.
    pub is_list: bool,
}

/// A [`Key`] whose value is a whole number between two bounds.
#[derive(Clone, Copy, Debug)]
pub struct NumberKey {
    /// The entry itself; its words for default and bounds repeat the numbers below.
    pub key: Key,
    /// Smallest value accepted.
    pub min: u32,
    /// Largest value accepted.
    pub max: u32,
    /// Value when not given.
    pub default: u32,
}

impl Key {
    /// Writes the text of `--help`: what the option does, its default and its bounds.
    pub fn help(&self) -> String {
        let Self { default, bounds, doc, .. } = self;
        format!("{doc} [default: {default}] [bounds: {bounds}]")
    }
}
