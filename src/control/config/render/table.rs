//! The options table of `docs/configuration.md`, made from the schema and checked against what
//! stands there.

use crate::control::config::schema::{KEYS, Key};

/// Writes the options table of `docs/configuration.md`: one row per key, in Markdown.
pub fn options_table() -> String {
    let rows = KEYS.iter().map(row);
    let head = "| option | value | default | bounds | what it does |\n|---|---|---|---|---|\n";
    rows.fold(head.to_owned(), |table, row| table + &row)
}

fn row(key: &Key) -> String {
    let Key { name, doc, .. } = key;
    let (default, bounds) = (key.default_words(), key.bounds_words());
    let unit = key.unit.replace('|', "\\|");
    let repeatable = if key.is_list { " Repeatable." } else { "" };
    format!("| `--{name}` | `{unit}` | {default} | {bounds} | {doc}{repeatable} |\n")
}

#[cfg(test)]
mod tests {
    use super::options_table;

    const PAGE: &str = include_str!("../../../../docs/configuration.md");
    const TABLE_BEGINS: &str = "<!-- options: made from src/control/config/schema/mod.rs -->\n";
    const TABLE_ENDS: &str = "<!-- end of options -->";

    #[test]
    fn the_table_in_the_docs_is_this_list() {
        let (_, rest) = PAGE.split_once(TABLE_BEGINS).unwrap();
        let (table, _) = rest.split_once(TABLE_ENDS).unwrap();
        let made = options_table();
        assert!(table == made, "the options table of docs/configuration.md should be:\n{made}");
    }
}
