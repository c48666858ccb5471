//! What a key means.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// By what sessions are sorted, the most first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Packets,
    Bits,
    Age,
}

impl Sort {
    /// One word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Packets => "packets",
            Self::Bits => "bits",
            Self::Age => "age",
        }
    }
}

/// Lines of a page of sessions.
const PAGE: isize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyPress {
    Quit,
    /// Leaves what lies over the screen, or the program.
    Back,
    Sort(Sort),
    /// So many sessions down, or up.
    Move(isize),
    First,
    Last,
    /// The session under the bar.
    Open,
    Help,
    /// Every worker, or the sessions again.
    Workers,
}

pub(super) fn meaning(key: KeyEvent) -> Option<KeyPress> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => Some(KeyPress::Quit),
        KeyCode::Char('q') => Some(KeyPress::Quit),
        KeyCode::Esc => Some(KeyPress::Back),
        KeyCode::Char('p') => Some(KeyPress::Sort(Sort::Packets)),
        KeyCode::Char('b') => Some(KeyPress::Sort(Sort::Bits)),
        KeyCode::Char('a') => Some(KeyPress::Sort(Sort::Age)),
        KeyCode::Up | KeyCode::Char('k') => Some(KeyPress::Move(-1)),
        KeyCode::Down | KeyCode::Char('j') => Some(KeyPress::Move(1)),
        KeyCode::PageUp => Some(KeyPress::Move(-PAGE)),
        KeyCode::PageDown => Some(KeyPress::Move(PAGE)),
        KeyCode::Home | KeyCode::Char('g') => Some(KeyPress::First),
        KeyCode::End | KeyCode::Char('G') => Some(KeyPress::Last),
        KeyCode::Enter => Some(KeyPress::Open),
        KeyCode::Char('?' | 'h') => Some(KeyPress::Help),
        KeyCode::Char('w') => Some(KeyPress::Workers),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let plain = |code| meaning(KeyEvent::new(code, KeyModifiers::NONE));
        for (code, key) in [
            (KeyCode::Char('q'), KeyPress::Quit),
            (KeyCode::Esc, KeyPress::Back),
            (KeyCode::Char('p'), KeyPress::Sort(Sort::Packets)),
            (KeyCode::Char('b'), KeyPress::Sort(Sort::Bits)),
            (KeyCode::Char('a'), KeyPress::Sort(Sort::Age)),
            (KeyCode::Down, KeyPress::Move(1)),
            (KeyCode::PageUp, KeyPress::Move(-PAGE)),
            (KeyCode::Enter, KeyPress::Open),
            (KeyCode::Char('?'), KeyPress::Help),
        ] {
            assert_eq!(plain(code), Some(key), "{code:?}");
        }
        assert_eq!((plain(KeyCode::Char('c')), plain(KeyCode::Char('x'))), (None, None));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(interrupt), Some(KeyPress::Quit));
    }
}
