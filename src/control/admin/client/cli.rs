//! `uturn status` and the other commands that ask a running server.
//!
//! Exit status: 0 done, 1 it could not be done.

use std::io::{ErrorKind, Write, stdout};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::conversation::Conversation;
use super::{print, progress, top};
use crate::control::admin::places::default_path;
use crate::control::admin::protocol::{ControlRequest, Line};
use crate::control::config::ServerAddress;
use crate::control::escape;
use crate::control::numbers::seconds;

/// What can be asked of a running server.
#[derive(Subcommand, Clone, Debug)]
pub(in crate::control) enum AdminCommand {
    /// Shows the state of the running server
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Lists the sessions of the running server: its allocations
    Sessions {
        /// As JSON, one object in each line
        #[arg(long)]
        json: bool,
        /// Those of one user: by name, or by the id of a time-limited name
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Shows one session with its permissions and channels
    Session {
        /// Name of the session, as it is listed
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: At,
    },
    /// Lists recent refusals with their reasons: the last few hundred clients
    ///
    /// Requests with wrong credentials, denied peers, quotas, no room; connections that were
    /// refused or closed for a fault. One row for each client and reason, the latest last. Every
    /// worker tells ten requests and ten connections a second at most; the metrics count all of
    /// them.
    Refusals {
        /// As JSON, one object in each line
        #[arg(long)]
        json: bool,
        /// Those of one user: by name, or by the id of a time-limited name
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Those of one client's address
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        client: Option<IpAddr>,
        #[command(flatten)]
        at: At,
    },
    /// Shows the running server on the terminal, once a second; `?` explains
    ///
    /// Load of the last five minutes, workers, drops and refusals by reason, the busiest sessions.
    Top {
        #[command(flatten)]
        at: At,
    },
    /// Terminates one session immediately
    Kill {
        /// Name of the session, as it is listed
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Takes the running server out of service without ending a call
    ///
    /// It takes no new clients; this command watches until the last has gone, and the server ends.
    /// Interrupting this command does not end the drain.
    Drain {
        /// How long it may take; what is left then is ended; 0 for as long as it takes
        #[arg(long, value_name = "SECONDS", conflicts_with = "cancel")]
        #[arg(value_parser = seconds(0..=604_800), allow_negative_numbers = true)]
        deadline: Option<u32>,
        /// Server that new clients are sent to; one of each family
        #[arg(long, value_name = "HOST[:PORT]", conflicts_with = "cancel", value_parser = server)]
        alternate: Vec<SocketAddr>,
        /// Calls it off: new clients are taken again
        #[arg(long)]
        cancel: bool,
        #[command(flatten)]
        at: At,
    },
    /// Makes the running server read its configuration again
    Reload {
        #[command(flatten)]
        at: At,
    },
}

/// Which server is asked.
#[derive(Args, Clone, Debug)]
pub(in crate::control) struct At {
    /// Control socket of the server [default: /run/uturn/control, or where no server is there
    /// $XDG_RUNTIME_DIR/uturn/control]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

impl At {
    fn ask(&self, request: &ControlRequest) -> Result<Conversation, String> {
        Conversation::begin(&self.path(), request)
    }

    fn path(&self) -> PathBuf {
        self.control.clone().unwrap_or_else(default_path)
    }
}

/// Asks and prints the answer.
pub(in crate::control) fn run(command: AdminCommand) -> ExitCode {
    match obey(command) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has heard enough is no fault.
        Err(Fault::Unheard) => ExitCode::SUCCESS,
        Err(Fault::Told) => ExitCode::FAILURE,
        Err(Fault::Problem(problem)) => {
            eprintln!("uturn: {}", escape::text(&problem));
            ExitCode::FAILURE
        }
    }
}

/// Why a command ends before it is done.
enum Fault {
    Problem(String),
    Unheard,
    /// What is wrong has been printed already.
    Told,
}

impl From<String> for Fault {
    fn from(problem: String) -> Self {
        Self::Problem(problem)
    }
}

fn obey(command: AdminCommand) -> Result<(), Fault> {
    match command {
        AdminCommand::Status { json, at } => {
            let shape = if json { print::json } else { print::words };
            told(at.ask(&ControlRequest::Status {})?, shape)
        }
        AdminCommand::Sessions { json, user, at } => {
            let answer = at.ask(&ControlRequest::Sessions { user })?;
            if json {
                return told(answer, print::json);
            }
            listed(answer, &print::sessions_head(), "no sessions")
        }
        AdminCommand::Refusals { json, user, client, at } => {
            let answer = at.ask(&ControlRequest::Refusals { user, client })?;
            if json {
                return told(answer, print::json);
            }
            listed(answer, &print::refusals_head(), "no refusals")
        }
        AdminCommand::Session { id, json, at } => {
            let shape = if json { print::json } else { print::words };
            told(at.ask(&ControlRequest::Session { id })?, shape)
        }
        AdminCommand::Top { at } => {
            top::ensure_terminal()?;
            Ok(top::show(&at.path(), at.ask(&ControlRequest::Top {})?)?)
        }
        AdminCommand::Kill { id, at } => told(at.ask(&ControlRequest::Kill { id })?, print::words),
        AdminCommand::Drain { cancel: true, at, .. } => {
            told(at.ask(&ControlRequest::Cancel {})?, print::words)
        }
        AdminCommand::Drain { deadline, alternate, cancel: false, at } => {
            let request = ControlRequest::Drain { deadline_s: deadline, alternate };
            say(&progress::watch(at.ask(&request)?)?)
        }
        AdminCommand::Reload { at } => reload(at.ask(&ControlRequest::Reload {})?),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "write an IP address, without a port".to_owned())
}

fn server(text: &str) -> Result<SocketAddr, String> {
    ServerAddress::read_flag(text)
}

/// Prints what a reload has changed; one that left the certificates as they were has failed.
fn reload(mut answer: Conversation) -> Result<(), Fault> {
    let mut is_whole = true;
    while let Some(line) = answer.next()? {
        is_whole &= !matches!(&line, Line::Reloaded(change) if change.certificates.is_some());
        say(&print::words(&line))?;
    }
    if is_whole { Ok(()) } else { Err(Fault::Told) }
}

/// Prints a list below its head, or that it is empty.
fn listed(mut answer: Conversation, head: &str, none: &str) -> Result<(), Fault> {
    let Some(first) = answer.next()? else { return say(&format!("{none}\n")) };
    say(head)?;
    say(&print::words(&first))?;
    told(answer, print::words)
}

/// Prints an answer line by line.
fn told(mut answer: Conversation, shape: fn(&Line) -> String) -> Result<(), Fault> {
    while let Some(line) = answer.next()? {
        say(&shape(&line))?;
    }
    Ok(())
}

fn say(text: &str) -> Result<(), Fault> {
    let mut out = stdout().lock();
    let said = out.write_all(escape::lines(text).as_bytes()).and_then(|()| out.flush());
    said.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Fault::Unheard,
        _ => Fault::Problem(format!("the answer cannot be written: {error}")),
    })
}
