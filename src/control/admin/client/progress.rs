//! A drain, as whoever asked for it watches it.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use super::conversation::Conversation;
use super::print::duration;
use crate::control::admin::protocol::{Draining, Line};
use crate::control::numbers::counted;

/// Watches until the server is drained and says how it ended: a bar on a terminal, else a line for
/// each change.
pub(super) fn watch(mut answer: Conversation) -> Result<String, String> {
    let mut bar = Bar::new();
    while let Some(line) = answer.next()? {
        match line {
            Line::Draining(draining) => bar.show(&draining),
            Line::Drained { left: 0 } => return Ok("drained: nobody was left\n".to_owned()),
            Line::Drained { left } => {
                let left = counted(left, "allocation");
                return Ok(format!("drained: the deadline ended {left}\n"));
            }
            Line::Status(_)
            | Line::Session(_)
            | Line::Detail(_)
            | Line::Refusal(_)
            | Line::Killed(_)
            | Line::Reloaded(_)
            | Line::Top(_)
            | Line::Serving {}
            | Line::Done {}
            | Line::Error(_) => {}
        }
    }
    Err("the server no longer says how far it is".to_owned())
}

struct Bar {
    bar: Option<ProgressBar>,
    said: Option<u64>,
}

impl Bar {
    fn new() -> Self {
        let style = ProgressStyle::with_template("  draining {bar:32} {msg}");
        let style = style.expect("the template is well-formed");
        let bar = stderr().is_terminal().then(|| ProgressBar::new(1).with_style(style));
        Self { bar, said: None }
    }

    fn show(&mut self, draining: &Draining) {
        let Some(left) = draining.allocations else { return };
        let until = draining.left_s.map_or_else(String::new, |left_s| {
            format!(", {} until the deadline", duration(left_s as f64))
        });
        let words = format!("{} left{until}", counted(left, "allocation"));
        let begun_with = draining.begun_with.unwrap_or(left).max(1);
        match &self.bar {
            Some(bar) => {
                bar.set_length(begun_with);
                bar.set_position(begun_with.saturating_sub(left));
                bar.set_message(words);
            }
            None if self.said != Some(left) => eprintln!("draining: {words}"),
            None => {}
        }
        self.said = Some(left);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
