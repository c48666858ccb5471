//! A file with every key, explained and commented out: what a package installs to be edited.
//!
//! Made from the schema like the options table of `docs/configuration.md`, so that neither can be
//! out of date.

use crate::control::config::schema::{KEYS, Key};

/// Columns of a comment.
const WIDTH: usize = 100;
const HEAD: &str = "\
# Configuration of uturn. Every key stands here with its default in words and an example; take away
# the '#' in front of a key to set it. `uturn check-config FILE` prints what would hold.
#
# Write a user or a secret: a file with neither is refused. secret = 'generate' makes one at each
# start, and prints it.
";

/// Writes the file: each key with what it does, its default, its bounds and an example.
pub fn example_file() -> String {
    KEYS.iter().fold(HEAD.to_owned(), |file, key| file + &entry(key))
}

fn entry(key: &Key) -> String {
    let Key { name, doc, .. } = key;
    let (default, bounds) = (key.default_words(), key.bounds_words());
    let comment = comment(&format!("{doc} Default: {default}. Bounds: {bounds}."));
    format!("\n{comment}#{name} = {}\n", value(key))
}

fn value(key: &Key) -> String {
    let is_number = key.example.parse::<u64>().is_ok();
    let one = if is_number {
        key.example.to_owned()
    } else {
        toml::Value::String(key.example.to_owned()).to_string()
    };
    if key.is_list { format!("[{one}]") } else { one }
}

/// Breaks a text into lines of a comment.
fn comment(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        if line.len() + 1 + word.len() > WIDTH {
            lines.push(format!("# {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{KEYS, WIDTH, example_file};
    use crate::control::config::schema::Options;

    #[test]
    fn every_key_stands_there_and_can_be_set_as_it_does() {
        let file = example_file();
        let mut set = String::new();
        for key in KEYS {
            let lines = file.lines().filter_map(|line| line.strip_prefix('#'));
            let begins = format!("{} = ", key.name);
            let found: Vec<&str> = lines.filter(|line| line.starts_with(&begins)).collect();
            assert_eq!(found.len(), 1, "{}", key.name);
            set.push_str(&format!("{}\n", found[0]));
        }
        toml::from_str::<Options>(&set).unwrap_or_else(|error| panic!("{error}\n{set}"));
    }

    #[test]
    fn as_it_comes_it_sets_nothing_and_fits_the_screen() {
        let file = example_file();
        assert!(file.lines().all(|line| line.is_empty() || line.starts_with('#')));
        assert!(file.lines().all(|line| line.len() <= WIDTH));
    }
}
