//! One TLS connection, without I/O.
//!
//! Records are opened where they stand in the caller's bytes; only one that comes in pieces is put
//! together here. Until the library hands plaintext out in place, it makes one small allocation
//! for each record it opens and each that it seals.

use std::mem;

use bytes::BytesMut;
use rustls::{
    Error, HandshakeKind, ProtocolVersion,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{
        ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
    },
};

use super::context::TlsContext;
use crate::stream::hang_up::HangUp;

const RECORD_HEADER_BYTES: usize = 5;

/// The longest record: 16 KiB and what TLS 1.2 may add (RFC 5246 §6.2.3).
const MOST_CIPHERTEXT_BYTES: usize = 16_384 + 2_048;

/// Bytes that may wait, for a step of the handshake or for the rest of a record: a ClientHello and
/// a read behind it, or the longest record.
const MOST_DEFERRED_BYTES: usize = 2 * 16_384;

/// Bytes that sealing adds to one record at most: header, explicit nonce, content type and tag.
pub(in crate::stream) const SEAL_BYTES: usize = 64;

/// One TLS connection of a server.
pub(in crate::stream) struct Tls {
    connection: UnbufferedServerConnection,
    /// What has come and is not opened: the beginning of a record, or a step of the handshake.
    inbound: Vec<u8>,
    /// Sealed and not yet written: handshake, tickets, alerts.
    outbound: Vec<u8>,
    is_established: bool,
    /// The client sends no more.
    is_closed: bool,
}

/// What a TLS handshake came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// TLS 1.3; otherwise 1.2.
    pub is_tls13: bool,
    /// With the ticket of an earlier session.
    pub is_resumed: bool,
}

/// What opening records brought, besides their plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stream) struct Unsealed {
    /// The client sends no more.
    pub is_closed: bool,
}

impl Tls {
    /// Begins a connection; `with_alpn` answers the client's protocols.
    pub(in crate::stream) fn new(context: &TlsContext, with_alpn: bool) -> Result<Tls, HangUp> {
        let config = if with_alpn { &context.with_alpn } else { &context.without_alpn };
        let connection = UnbufferedServerConnection::new(config.clone());
        let connection = connection.map_err(|_| HangUp::HandshakeFailed)?;
        Ok(Tls {
            connection,
            inbound: Vec::new(),
            outbound: Vec::new(),
            is_established: false,
            is_closed: false,
        })
    }

    /// Keeps bytes for the next step of the handshake.
    pub(in crate::stream) fn defer(&mut self, bytes: &[u8]) -> Result<(), HangUp> {
        if self.inbound.len() + bytes.len() > MOST_DEFERRED_BYTES {
            let is_over = self.is_established;
            return Err(if is_over { HangUp::BadRecord } else { HangUp::HandshakeFailed });
        }
        self.inbound.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes what waits as far as it goes, and appends the plaintext to `plain`.
    pub(in crate::stream) fn step(&mut self, plain: &mut Vec<u8>) -> Result<Unsealed, HangUp> {
        let mut inbound = mem::take(&mut self.inbound);
        let (used, opened) = self.pump(&mut inbound, plain);
        if used < inbound.len() {
            inbound.drain(..used);
            self.inbound = inbound;
        }
        opened
    }

    /// Opens what came and appends the plaintext to `plain`.
    pub(in crate::stream) fn open(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> Result<Unsealed, HangUp> {
        let mut bytes = bytes;
        let mut is_closed = false;
        while !self.inbound.is_empty() && !bytes.is_empty() {
            let wanted = self.wanted_bytes()?.min(bytes.len());
            let (record, rest) = mem::take(&mut bytes).split_at_mut(wanted);
            self.defer(record)?;
            bytes = rest;
            is_closed |= self.step(plain)?.is_closed;
        }
        let (used, opened) = self.pump(bytes, plain);
        is_closed |= opened?.is_closed;
        if used < bytes.len() {
            self.defer(&bytes[used..])?;
            self.wanted_bytes()?;
        }
        Ok(Unsealed { is_closed })
    }

    /// Bytes that the record in `inbound` lacks; no end of them where it is whole and yet not
    /// used, which is a piece of a handshake message.
    fn wanted_bytes(&self) -> Result<usize, HangUp> {
        let Some(header) = self.inbound.first_chunk::<RECORD_HEADER_BYTES>() else {
            return Ok(RECORD_HEADER_BYTES - self.inbound.len());
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length > MOST_CIPHERTEXT_BYTES {
            return Err(HangUp::BadRecord);
        }
        let wanted = (RECORD_HEADER_BYTES + length).checked_sub(self.inbound.len());
        Ok(wanted.filter(|bytes| *bytes > 0).unwrap_or(usize::MAX))
    }

    /// Opens records from the front of `bytes`; says how many bytes were used. What the library
    /// wants sent is put into `outbound`, an alert about a fault included.
    fn pump(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> (usize, Result<Unsealed, HangUp>) {
        if self.is_closed {
            return (bytes.len(), Ok(Unsealed { is_closed: false }));
        }
        let mut used = 0;
        let fault = loop {
            let status = self.connection.process_tls_records(&mut bytes[used..]);
            let UnbufferedStatus { discard, state } = status;
            match state {
                Ok(ConnectionState::ReadTraffic(mut state)) => {
                    while let Some(Ok(record)) = state.next_record() {
                        used += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut state)) => {
                    encode(&mut state, |bytes| self.outbound.extend_from_slice(bytes));
                }
                Ok(ConnectionState::TransmitTlsData(state)) => state.done(),
                Ok(ConnectionState::PeerClosed) => self.is_closed = true,
                Ok(_) => {
                    used += discard;
                    break None;
                }
                Err(error) => {
                    used += discard;
                    break Some(error);
                }
            }
            used += discard;
        };
        if fault.is_some() {
            self.take_alert(&mut bytes[used..]);
        }
        self.is_established = !self.connection.is_handshaking();
        let outcome = match fault {
            Some(error) => Err(self.fail(&error)),
            None => Ok(Unsealed { is_closed: self.is_closed }),
        };
        (if self.is_closed { bytes.len() } else { used }, outcome)
    }

    /// Takes the alert about a fault. The library must not see the bytes again, and does not for as
    /// long as it has something to send.
    fn take_alert(&mut self, rest: &mut [u8]) {
        while self.connection.wants_write() {
            let UnbufferedStatus { state: Ok(ConnectionState::EncodeTlsData(mut state)), .. } =
                self.connection.process_tls_records(rest)
            else {
                return;
            };
            encode(&mut state, |bytes| self.outbound.extend_from_slice(bytes));
        }
    }

    /// Says what a fault is to the client; nothing more is sealed after it.
    fn fail(&mut self, error: &Error) -> HangUp {
        match error {
            _ if mem::take(&mut self.is_established) => HangUp::BadRecord,
            Error::NoApplicationProtocol => HangUp::NoSharedProtocol,
            Error::AlertReceived(_) => HangUp::HandshakeRefused,
            _ => HangUp::HandshakeFailed,
        }
    }

    /// Seals one record behind `out`.
    pub(in crate::stream) fn seal(
        &mut self,
        plain: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), HangUp> {
        self.write(out, plain.len() + SEAL_BYTES, |state, out| state.encrypt(plain, out))
    }

    /// Says behind `out` that nothing more is sent.
    pub(in crate::stream) fn close_notify(&mut self, out: &mut BytesMut) -> Result<(), HangUp> {
        self.write(out, SEAL_BYTES, end)
    }

    fn write(
        &mut self,
        out: &mut BytesMut,
        room_bytes: usize,
        mut seal: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), HangUp> {
        loop {
            let UnbufferedStatus { discard: 0, state: Ok(state) } =
                self.connection.process_tls_records(&mut self.inbound)
            else {
                return Err(HangUp::BadRecord);
            };
            let begin = out.len();
            match state {
                ConnectionState::WriteTraffic(mut state) => {
                    out.resize(begin + room_bytes, 0);
                    let written = seal(&mut state, &mut out[begin..]);
                    out.truncate(begin + written.as_ref().map_or(0, |bytes| *bytes));
                    return written.map(|_| ()).map_err(|_| HangUp::BadRecord);
                }
                ConnectionState::EncodeTlsData(mut state) => {
                    encode(&mut state, |bytes| out.extend_from_slice(bytes));
                }
                ConnectionState::TransmitTlsData(state) => state.done(),
                // Ends here once only, or there is something that was not opened.
                ConnectionState::PeerClosed => {}
                _ => return Err(HangUp::BadRecord),
            }
        }
    }

    /// What is sealed already, to be written in front of anything else.
    pub(in crate::stream) fn outbound(&self) -> &[u8] {
        &self.outbound
    }

    /// The same, to be taken from.
    pub(in crate::stream) fn outbound_mut(&mut self) -> &mut Vec<u8> {
        &mut self.outbound
    }

    pub(in crate::stream) fn is_established(&self) -> bool {
        self.is_established
    }

    /// What the handshake came to, once it is over.
    pub(in crate::stream) fn handshake(&self) -> Option<Handshake> {
        let is_tls13 = self.connection.protocol_version()? == ProtocolVersion::TLSv1_3;
        let is_resumed = self.connection.handshake_kind()? == HandshakeKind::Resumed;
        self.is_established.then_some(Handshake { is_tls13, is_resumed })
    }

    /// True once the client has said that it sends no more.
    pub(in crate::stream) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Bytes of buffers, used or not.
    #[cfg(test)]
    pub(in crate::stream) fn buffer_bytes(&self) -> usize {
        self.inbound.capacity() + self.outbound.capacity()
    }

    /// True while the beginning of a record waits for its rest.
    pub(in crate::stream) fn has_half_a_record(&self) -> bool {
        !self.inbound.is_empty()
    }
}

fn encode(state: &mut EncodeTlsData<'_, ServerConnectionData>, write: impl FnOnce(&[u8])) {
    // Asked without room, it says how much it takes.
    let Err(EncodeError::InsufficientSize(error)) = state.encode(&mut []) else { return };
    let mut record = vec![0; error.required_size];
    if let Ok(bytes) = state.encode(&mut record) {
        write(&record[..bytes]);
    }
}

fn end(
    state: &mut WriteTraffic<'_, ServerConnectionData>,
    out: &mut [u8],
) -> Result<usize, EncryptError> {
    state.queue_close_notify(out)
}
