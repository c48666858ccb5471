//! What a request is answered, and the one place where answers are written.
//!
//! Handlers say an [`Answer`]; the envelope says to whom, how it is signed and what else belongs
//! to every answer. An answer to a verified request is signed, errors included: a forged 437 would
//! end a client's session. An answer to a request with FINGERPRINT has one. What is not signed is
//! as short as it can be, because the source may be forged: no SOFTWARE, no reason phrase.

use crate::turn::{
    allocation::Granted,
    api::{
        names::{connection::ConnectionId, path::Path},
        now::Now,
        reason::Reason,
        settings::Settings,
    },
    method::request::attributes::Unknown,
};
use crate::wire::{
    AttributeType, Class, ErrorCode, Family, Full, IntegrityKey, Malformed, Message, MessageWriter,
    Method, TransactionId,
};

use std::net::SocketAddr;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum Answer {
    /// Binding: where the server sees the client.
    Mapped,
    /// Allocate.
    Allocated(Granted),
    /// Refresh.
    Refreshed {
        /// Seconds granted; 0 for a deletion.
        lifetime_s: u32,
    },
    /// CreatePermission, ChannelBind and ConnectionBind: nothing but the success.
    Done,
    /// Connect.
    Connected(ConnectionId),
    /// An error that needs no more than its code.
    Error(ErrorCode),
    /// 300 with the server to ask instead.
    Elsewhere(SocketAddr),
    /// 420 with the attributes it is about.
    Unknown(Unknown),
    /// 401 or 438 with realm and nonce.
    Challenge(ErrorCode),
    /// An effect has to be carried out first.
    Later,
    /// None at all.
    Silence(Reason),
}

/// Why a handler refuses. The one way from a fault to its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Refused(pub(in crate::turn) ErrorCode);

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused(code)
    }
}

impl From<Malformed> for Refused {
    fn from(_: Malformed) -> Refused {
        Refused(ErrorCode::BadRequest)
    }
}

impl Answer {
    /// The code of an error, or `None` for a success.
    pub(in crate::turn) fn error_code(&self) -> Option<ErrorCode> {
        match self {
            Answer::Error(code) | Answer::Challenge(code) => Some(*code),
            Answer::Elsewhere(_) => Some(ErrorCode::TryAlternate),
            Answer::Unknown(_) => Some(ErrorCode::UnknownAttribute),
            Answer::Mapped
            | Answer::Allocated(_)
            | Answer::Refreshed { .. }
            | Answer::Done
            | Answer::Connected(_)
            | Answer::Later
            | Answer::Silence(_) => None,
        }
    }
}

/// What every answer to one request has in common.
#[derive(Debug)]
pub(in crate::turn) struct Envelope<'a> {
    pub(in crate::turn) now: Now,
    pub(in crate::turn) path: Path,
    pub(in crate::turn) method: Method,
    pub(in crate::turn) transaction: TransactionId,
    pub(in crate::turn) fingerprint: bool,
    /// The key the request was verified with, if it was.
    pub(in crate::turn) key: Option<&'a IntegrityKey>,
}

impl<'a> Envelope<'a> {
    /// The envelope of an answer to `message`.
    pub(in crate::turn) fn of(
        now: Now,
        path: Path,
        message: &Message<'_>,
        key: Option<&'a IntegrityKey>,
    ) -> Envelope<'a> {
        Envelope {
            now,
            path,
            method: message.method(),
            transaction: message.transaction(),
            fingerprint: message.fingerprint() == crate::wire::Fingerprint::Valid,
            key,
        }
    }

    /// Writes an answer and says how long it is.
    pub(in crate::turn) fn write(
        &self,
        answer: &Answer,
        settings: &Settings,
        out: &mut [u8],
    ) -> Result<usize, Full> {
        let class = if answer.error_code().is_some() { Class::Error } else { Class::Success };
        let mut writer = MessageWriter::new(out, self.method, class, self.transaction);
        self.body(answer, settings, &mut writer);
        if let Some(name) = self.software(settings) {
            writer.attribute(AttributeType::SOFTWARE, name.as_bytes());
        }
        if let Some(key) = self.key {
            writer.integrity(key);
        }
        if self.fingerprint {
            writer.fingerprint();
        }
        writer.finish()
    }

    fn body(&self, answer: &Answer, settings: &Settings, writer: &mut MessageWriter<'_>) {
        match (answer.error_code(), self.key) {
            (Some(code), Some(_)) => _ = writer.error_code(code),
            (Some(code), None) => _ = writer.bare_error_code(code),
            (None, _) => {}
        }
        match answer {
            Answer::Mapped => {
                writer.xor_mapped_address(self.path.client());
            }
            Answer::Allocated(granted) => allocated(granted, self.path.client(), writer),
            Answer::Refreshed { lifetime_s } => {
                writer.lifetime_s(*lifetime_s);
            }
            Answer::Connected(ConnectionId(id)) => {
                writer.connection_id(*id);
            }
            Answer::Elsewhere(server) => {
                writer.alternate_server(*server);
            }
            Answer::Unknown(unknown) => {
                writer.unknown_attributes(unknown.list());
            }
            Answer::Challenge(_) => {
                settings.authenticator.challenge(self.now, self.path.nonce_address(), writer);
            }
            Answer::Done | Answer::Error(_) | Answer::Later | Answer::Silence(_) => {}
        }
    }

    /// SOFTWARE stands in authenticated Allocate and Refresh answers only: it is of use to whoever
    /// holds an allocation, and bytes for whoever is sent answers he never asked for.
    fn software<'s>(&self, settings: &'s Settings) -> Option<&'s str> {
        let told = matches!(self.method, Method::Allocate | Method::Refresh) && self.key.is_some();
        settings.software.as_deref().filter(|_| told)
    }
}

/// The attributes of an Allocate success (RFC 8656 §7.2).
fn allocated(granted: &Granted, client: SocketAddr, writer: &mut MessageWriter<'_>) {
    for relayed in granted.relayed.iter() {
        writer.xor_relayed_address(*relayed);
    }
    writer.lifetime_s(granted.lifetime_s);
    writer.xor_mapped_address(client);
    if let Some(token) = granted.reservation {
        writer.reservation_token(token);
    }
    if let Some((family, code)) = granted.missing {
        let family: Family = family;
        writer.address_error_code(family, code);
    }
}
