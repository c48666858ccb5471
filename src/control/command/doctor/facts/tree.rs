//! `/proc` and `/sys`, or a folder that stands for them in a test.

use std::fs;
use std::path::{Path, PathBuf};

/// A file tree that facts are read from. What is not there or cannot be read is no fact.
#[derive(Clone, Debug)]
pub(in crate::control) struct Tree(PathBuf);

impl Tree {
    /// Begins at a folder; `/` is the machine.
    pub(in crate::control) fn at(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// Reads a file, without blanks around it.
    pub(in crate::control) fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.0.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// Reads a whole number.
    pub(in crate::control) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// Names what is in a folder, sorted.
    pub(in crate::control) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Reads where a link leads to.
    pub(in crate::control) fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.0.join(path)).ok()?;
        target.into_os_string().into_string().ok()
    }
}

/// Reads a list of cores as the kernel writes them, such as `0-2,5`.
pub(in crate::control) fn core_list(text: &str) -> Vec<usize> {
    let ranges = text.split(',').filter_map(|range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        Some(low.trim().parse::<usize>().ok()?..=high.trim().parse().ok()?)
    });
    ranges.flatten().collect()
}

/// Reads a mask of cores as the kernel writes them: hexadecimal words of 32 bits, the highest
/// first.
pub(in crate::control) fn core_mask(text: &str) -> Vec<usize> {
    let words = text.trim().split(',').rev().enumerate();
    let cores = words.flat_map(|(index, word)| {
        let bits = u32::from_str_radix(word, 16).unwrap_or(0);
        (0..32).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| index * 32 + bit)
    });
    cores.collect()
}

#[cfg(test)]
mod tests {
    use super::{core_list, core_mask};

    #[test]
    fn cores_are_read_as_the_kernel_writes_them() {
        assert_eq!(core_list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(core_list("7"), [7]);
        assert_eq!(core_list(""), [0; 0]);
        assert_eq!(core_mask("00000000,00000003"), [0, 1]);
        assert_eq!(core_mask("1,80000000"), [31, 32]);
        assert_eq!(core_mask("0"), [0; 0]);
    }
}
