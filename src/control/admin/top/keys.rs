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
pub(super) enum Key {
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

pub(super) fn meaning(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => Some(Key::Quit),
        KeyCode::Char('q') => Some(Key::Quit),
        KeyCode::Esc => Some(Key::Back),
        KeyCode::Char('p') => Some(Key::Sort(Sort::Packets)),
        KeyCode::Char('b') => Some(Key::Sort(Sort::Bits)),
        KeyCode::Char('a') => Some(Key::Sort(Sort::Age)),
        KeyCode::Up | KeyCode::Char('k') => Some(Key::Move(-1)),
        KeyCode::Down | KeyCode::Char('j') => Some(Key::Move(1)),
        KeyCode::PageUp => Some(Key::Move(-PAGE)),
        KeyCode::PageDown => Some(Key::Move(PAGE)),
        KeyCode::Home | KeyCode::Char('g') => Some(Key::First),
        KeyCode::End | KeyCode::Char('G') => Some(Key::Last),
        KeyCode::Enter => Some(Key::Open),
        KeyCode::Char('?' | 'h') => Some(Key::Help),
        KeyCode::Char('w') => Some(Key::Workers),
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
            (KeyCode::Char('q'), Key::Quit),
            (KeyCode::Esc, Key::Back),
            (KeyCode::Char('p'), Key::Sort(Sort::Packets)),
            (KeyCode::Char('b'), Key::Sort(Sort::Bits)),
            (KeyCode::Char('a'), Key::Sort(Sort::Age)),
            (KeyCode::Down, Key::Move(1)),
            (KeyCode::PageUp, Key::Move(-PAGE)),
            (KeyCode::Enter, Key::Open),
            (KeyCode::Char('?'), Key::Help),
        ] {
            assert_eq!(plain(code), Some(key), "{code:?}");
        }
        assert_eq!((plain(KeyCode::Char('c')), plain(KeyCode::Char('x'))), (None, None));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(interrupt), Some(Key::Quit));
    }
}
