//! What results have in common as text: where they come from above, warnings and verdict below.

use super::table::Table;
use crate::result::about::About;

/// A title, where it comes from, tables, what to mind, and what it comes to.
pub(super) fn whole(
    title: &str,
    about: &About,
    sections: &[Table],
    warnings: &[String],
    verdict: &[String],
) -> String {
    let mut text = head(title, about);
    for section in sections {
        text += &format!("\n{}", section.text());
    }
    text + &foot(warnings, verdict)
}

pub(super) fn head(title: &str, about: &About) -> String {
    let server = about.server().map_or(String::new(), |server| format!("{server}; "));
    format!("{title}\n{server}loadgen {}, {}\n", about.loadgen, about.date)
}

pub(super) fn foot(warnings: &[String], verdict: &[String]) -> String {
    let warnings: String = warnings.iter().map(|warning| format!("!! {warning}\n")).collect();
    let lines: String = verdict.iter().map(|line| format!("{line}\n")).collect();
    let blocks = [warnings, lines].into_iter().filter(|block| !block.is_empty());
    blocks.map(|block| format!("\n{block}")).collect()
}
