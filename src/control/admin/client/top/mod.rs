//! `uturn top`: a running server on a terminal, looked at once a second.
//!
//! ```text
//! control socket ── a thread that reads lines ──▶ state.rs ── rates ──▶ screen.rs ──▶ terminal
//!                                  keys.rs ───────┘   │
//! control socket ◀── a thread for one answer ◀── one session's detail
//! ```
//!
//! ```text
//! state.rs     the latest figures, rates, what is looked at
//! trace.rs     the last minutes
//! keys.rs      what a key means
//! screen.rs    where everything stands
//! workers.rs   a line for each worker
//! reasons.rs   drops and refusals
//! sessions.rs  the busiest sessions
//! overlay.rs   a session's detail, and the help
//! text.rs      numbers and addresses, short
//! palette.rs   colours, if the terminal has them
//! ```

mod keys;
mod overlay;
mod palette;
mod reasons;
mod screen;
mod sessions;
mod state;
mod text;
mod trace;
mod workers;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};

use super::conversation::Conversation;
use crate::control::admin::protocol::{ControlRequest, Line, SessionDetail, Top};
use keys::meaning;
use palette::Palette;
use state::{After, TopState};

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
pub(super) fn show(path: &Path, answer: Conversation) -> Result<(), String> {
    let (tell, news) = channel();
    in_background(answer, tell.clone());
    let mut terminal =
        ratatui::try_init().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    let mut watch =
        Watch { state: TopState::default(), path: path.to_owned(), tell, asked_for: None };
    let ended = watch.run(&mut terminal, &news);
    ratatui::restore();
    ended
}

/// What the threads that read from the server have to say.
enum News {
    Figures(Box<Top>),
    /// Of the session that was asked for, or why there is none.
    Detail(String, Result<Box<SessionDetail>, String>),
    Ended(String),
}

/// Reads lines on a thread of its own, so that keys need not wait for them. It ends with the
/// process, or with the server.
fn in_background(mut answer: Conversation, tell: Sender<News>) {
    std::thread::spawn(move || {
        loop {
            let news = match answer.next() {
                Ok(Some(Line::Top(top))) => News::Figures(top),
                Ok(Some(_) | None) => News::Ended("the server no longer tells".to_owned()),
                Err(problem) => News::Ended(problem),
            };
            let is_over = matches!(news, News::Ended(_));
            if tell.send(news).is_err() || is_over {
                return;
            }
        }
    });
}

/// Asks for one session, and waits for its answer.
fn detail(path: &Path, id: String) -> Result<Box<SessionDetail>, String> {
    let mut answer = Conversation::begin(path, &ControlRequest::Session { id })?;
    match answer.next()? {
        Some(Line::Detail(detail)) => Ok(detail),
        Some(_) | None => Err("the server does not say".to_owned()),
    }
}

struct Watch {
    state: TopState,
    path: PathBuf,
    tell: Sender<News>,
    /// The session whose detail is on its way.
    asked_for: Option<String>,
}

impl Watch {
    fn run(&mut self, terminal: &mut DefaultTerminal, news: &Receiver<News>) -> Result<(), String> {
        let unusable = |error: std::io::Error| format!("the terminal cannot be used: {error}");
        let palette = Palette::of_this_terminal();
        loop {
            terminal.draw(|frame| screen::draw(frame, &self.state, palette)).map_err(unusable)?;
            if event::poll(LOOK_EVERY).map_err(unusable)?
                && let Event::Key(key) = event::read().map_err(unusable)?
                && let Some(key) = meaning(key)
                && self.state.press(key) == After::Quit
            {
                return Ok(());
            }
            self.take(news)?;
            self.ask_for_detail();
        }
    }

    /// Takes all there is.
    fn take(&mut self, news: &Receiver<News>) -> Result<(), String> {
        loop {
            match news.try_recv() {
                Ok(News::Figures(figures)) => {
                    self.state.note(*figures);
                    // A session is asked for again with every new figures.
                    self.state.age_detail();
                }
                Ok(News::Detail(id, detail)) => {
                    self.asked_for = None;
                    self.state.note_detail(&id, detail);
                }
                Ok(News::Ended(problem)) => return Err(problem),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err("the server has ended".to_owned()),
            }
        }
    }

    /// One question at a time: a server that is slow is not asked more.
    fn ask_for_detail(&mut self) {
        let Some(id) = self.state.wanted_detail() else { return };
        if self.asked_for.is_some() {
            return;
        }
        self.asked_for = Some(id.to_owned());
        let (path, tell, id) = (self.path.clone(), self.tell.clone(), id.to_owned());
        std::thread::spawn(move || {
            let answer = detail(&path, id.clone());
            // The screen may be gone.
            drop(tell.send(News::Detail(id, answer)));
        });
    }
}
