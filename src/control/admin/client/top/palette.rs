//! Colours, where the terminal has them and its user wants them; what they say stands in words or
//! numbers, too.

use std::io::stdout;

use ratatui::style::{Color, Modifier, Style};

use crate::control::terminal::has_colours;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    is_coloured: bool,
}

/// Of a share of something that should not become full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fullness {
    Good,
    High,
    Full,
}

impl Fullness {
    /// 0.7 is high, 0.9 is full.
    pub(super) fn of(share: f64) -> Self {
        match share {
            0.9.. => Self::Full,
            0.7.. => Self::High,
            _ => Self::Good,
        }
    }
}

impl Palette {
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { is_coloured: false };
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { is_coloured: true };

    pub(super) fn of_this_terminal() -> Self {
        Self { is_coloured: has_colours(&stdout()) }
    }

    fn colour(self, colour: Color) -> Style {
        if self.is_coloured { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn label(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// The head of a table.
    pub(super) fn head(self) -> Style {
        match self.is_coloured {
            true => Style::new().fg(Color::Black).bg(Color::Cyan),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The line that the bar is on.
    pub(super) fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) fn alarm(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn spark(self) -> Style {
        self.colour(Color::Green)
    }

    pub(super) fn level(self, level: Fullness) -> Style {
        match level {
            Fullness::Good => self.colour(Color::Green),
            Fullness::High => self.colour(Color::Yellow),
            Fullness::Full => self.alarm(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_nothing_is_coloured() {
        let plain = Palette::PLAIN;
        for style in [plain.label(), plain.head(), plain.alarm(), plain.level(Fullness::High)] {
            assert_eq!((style.fg, style.bg), (None, None), "{style:?}");
        }
        assert!(Palette::COLOURED.alarm().fg.is_some());
    }

    #[test]
    fn levels_rise() {
        let levels = [0.0, 0.69, 0.7, 0.89, 0.9, 1.2].map(Fullness::of);
        use Fullness::{Full, Good, High};
        assert_eq!(levels, [Good, Good, High, High, Full, Full]);
    }
}
