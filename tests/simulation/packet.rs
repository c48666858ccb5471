//! What a client means to say, and the bytes it says it in.
//!
//! The model judges the meaning, the server the bytes: an error in either shows.

use std::net::SocketAddr;

use uturn::wire::{
    AttributeType, Class, Family, IntegrityKey, MessageWriter, Method, TRANSPORT_UDP, TransactionId,
};

use super::scenario::{REALM, User};

/// What an Allocate asks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Wish {
    /// EVEN-PORT with its R bit.
    pub(crate) even: Option<bool>,
    pub(crate) token: Option<[u8; 8]>,
    pub(crate) family: Option<Family>,
    pub(crate) is_dual: bool,
    pub(crate) lifetime_s: Option<u32>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    Binding,
    Allocate(Wish),
    Refresh { lifetime_s: Option<u32>, family: Option<Family> },
    Permit(Vec<SocketAddr>),
    Bind { number: u16, peer: SocketAddr },
}

impl Ask {
    pub(crate) fn method(&self) -> Method {
        match self {
            Ask::Binding => Method::Binding,
            Ask::Allocate(_) => Method::Allocate,
            Ask::Refresh { .. } => Method::Refresh,
            Ask::Permit(_) => Method::CreatePermission,
            Ask::Bind { .. } => Method::ChannelBind,
        }
    }
}

/// Whose name a request bears, and how good it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signature {
    pub(crate) user: User,
    pub(crate) is_right: bool,
    pub(crate) nonce: Vec<u8>,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) ask: Ask,
    pub(crate) transaction: TransactionId,
    pub(crate) signature: Option<Signature>,
    pub(crate) has_fingerprint: bool,
}

/// Anything a client sends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Packet {
    Request(Request),
    Send { peer: SocketAddr, payload: Vec<u8>, dont_fragment: bool },
    Channel { number: u16, payload: Vec<u8>, is_padded: bool },
    Junk(Vec<u8>),
}

impl Packet {
    /// What a peer is to receive.
    pub(crate) fn payload(&self) -> &[u8] {
        match self {
            Packet::Send { payload, .. } | Packet::Channel { payload, .. } => payload,
            Packet::Request(_) | Packet::Junk(_) => &[],
        }
    }

    /// As part of a stream (RFC 8656 §12.5): padded to four bytes, but for what is no frame.
    pub(crate) fn stream_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        if !matches!(self, Packet::Junk(_)) {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; 4096];
        let end = match self {
            Packet::Request(request) => request.write(&mut out),
            Packet::Send { peer, payload, dont_fragment } => {
                let id = TransactionId([9; 12]);
                let mut writer = MessageWriter::new(&mut out, Method::Send, Class::Indication, id);
                writer.xor_peer_address(*peer);
                if *dont_fragment {
                    writer.attribute(AttributeType::DONT_FRAGMENT, &[]);
                }
                writer.attribute(AttributeType::DATA, payload);
                writer.finish().expect("room")
            }
            Packet::Channel { number, payload, is_padded } => {
                let end = 4 + payload.len();
                out[..2].copy_from_slice(&number.to_be_bytes());
                out[2..4].copy_from_slice(&(payload.len() as u16).to_be_bytes());
                out[4..end].copy_from_slice(payload);
                if *is_padded { end.next_multiple_of(4) } else { end }
            }
            Packet::Junk(bytes) => return bytes.clone(),
        };
        out.truncate(end);
        out
    }
}

impl Request {
    fn write(&self, out: &mut [u8]) -> usize {
        let mut writer =
            MessageWriter::new(out, self.ask.method(), Class::Request, self.transaction);
        self.ask.write(&mut writer);
        if let Some(signature) = &self.signature {
            signature.write(&mut writer);
        }
        if self.has_fingerprint {
            writer.fingerprint();
        }
        writer.finish().expect("room")
    }
}

impl Ask {
    fn write(&self, writer: &mut MessageWriter<'_>) {
        match self {
            Ask::Binding => {}
            Ask::Allocate(wish) => wish.write(writer),
            Ask::Refresh { lifetime_s, family } => {
                lifetime_s.map(|lifetime_s| writer.lifetime_s(lifetime_s).finish());
                family.map(|family| writer.requested_family(family).finish());
            }
            Ask::Permit(peers) => {
                for peer in peers {
                    writer.xor_peer_address(*peer);
                }
            }
            Ask::Bind { number, peer } => {
                writer.channel_number(*number).xor_peer_address(*peer);
            }
        }
    }
}

impl Wish {
    fn write(&self, writer: &mut MessageWriter<'_>) {
        writer.requested_transport(TRANSPORT_UDP);
        self.even.map(|reserve| writer.even_port(reserve).finish());
        self.token.map(|token| writer.reservation_token(token).finish());
        self.family.map(|family| writer.requested_family(family).finish());
        self.lifetime_s.map(|lifetime_s| writer.lifetime_s(lifetime_s).finish());
        if self.is_dual {
            writer.additional_family(Family::V6);
        }
    }
}

impl Signature {
    /// The key the server should sign its answer with too.
    pub(crate) fn key(&self) -> IntegrityKey {
        let password = if self.is_right { &*self.user.password } else { "wrong" };
        let user = &self.user.name;
        IntegrityKey::long_term(user.as_bytes(), REALM.as_bytes(), password.as_bytes())
    }

    pub(crate) fn write(&self, writer: &mut MessageWriter<'_>) {
        writer.attribute(AttributeType::USERNAME, self.user.name.as_bytes());
        writer.attribute(AttributeType::REALM, REALM.as_bytes());
        writer.attribute(AttributeType::NONCE, &self.nonce);
        writer.integrity(&self.key());
    }
}
