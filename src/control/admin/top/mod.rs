//! `uturn top`: a running server on a terminal, looked at once a second.
//!
//! ```text
//! control socket ── a thread that reads lines ──▶ state.rs ── rates ──▶ screen.rs ──▶ terminal
//!                                      keys ─────────┘
//! ```

mod screen;
mod state;

use std::io::{IsTerminal, stdin, stdout};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::client::Conversation;
use super::protocol::{Line, Top};
use state::{Sort, TopState};

/// How long a key may wait for its effect, or new figures.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Says why there can be no screen, before the server is asked anything.
pub(super) fn ensure_terminal() -> Result<(), String> {
    if stdin().is_terminal() && stdout().is_terminal() {
        return Ok(());
    }
    Err("top needs a terminal: for scripts there are `uturn status --json` and \
         `uturn sessions --json`"
        .to_owned())
}

/// Shows figures until a key ends it or the server does.
pub(super) fn show(answer: Conversation) -> Result<(), String> {
    let figures = in_background(answer);
    let mut terminal =
        ratatui::try_init().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    let ended = watch(&mut terminal, &figures);
    ratatui::restore();
    ended
}

/// Reads lines on a thread of its own, so that keys need not wait for them. It ends with the
/// process, or with the server.
fn in_background(mut answer: Conversation) -> Receiver<Result<Box<Top>, String>> {
    let (tell, figures) = channel();
    std::thread::spawn(move || {
        loop {
            let told = match answer.next() {
                Ok(Some(Line::Top(top))) => tell.send(Ok(top)),
                Ok(Some(_) | None) => tell.send(Err("the server no longer tells".to_owned())),
                Err(problem) => tell.send(Err(problem)),
            };
            if told.is_err() {
                return;
            }
        }
    });
    figures
}

fn watch(
    terminal: &mut DefaultTerminal,
    figures: &Receiver<Result<Box<Top>, String>>,
) -> Result<(), String> {
    let unusable = |error: std::io::Error| format!("the terminal cannot be used: {error}");
    let mut state = TopState::default();
    loop {
        terminal.draw(|frame| screen::draw(frame, &state)).map_err(unusable)?;
        if event::poll(LOOK_EVERY).map_err(unusable)?
            && let Event::Key(key) = event::read().map_err(unusable)?
        {
            match meaning(key) {
                Some(Key::Quit) => return Ok(()),
                Some(Key::Sort(sort)) => state.sort = sort,
                None => {}
            }
        }
        match figures.try_recv() {
            Ok(figures) => state.note(*figures?),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err("the server has ended".to_owned()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Quit,
    Sort(Sort),
}

fn meaning(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('c') if control => Some(Key::Quit),
        KeyCode::Char('p') => Some(Key::Sort(Sort::Packets)),
        KeyCode::Char('b') => Some(Key::Sort(Sort::Bits)),
        KeyCode::Char('a') => Some(Key::Sort(Sort::Age)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_screen_says() {
        let plain = |c| meaning(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
        assert_eq!(plain('q'), Some(Key::Quit));
        assert_eq!(plain('p'), Some(Key::Sort(Sort::Packets)));
        assert_eq!(plain('b'), Some(Key::Sort(Sort::Bits)));
        assert_eq!(plain('a'), Some(Key::Sort(Sort::Age)));
        assert_eq!((plain('c'), plain('x')), (None, None));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(interrupt), Some(Key::Quit));
    }
}
