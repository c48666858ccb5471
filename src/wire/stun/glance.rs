//! What a STUN message shows at a glance, before anything is checked that costs more.
//!
//! Whoever sends a flood of requests pays nothing for them, so a server must be able to refuse one
//! for less than it takes to check it: no CRC, no MAC, no attribute but those that say whether the
//! sender claims to be known.

use super::{
    attribute::{AttributeType, Attributes},
    header::{Class, Header, HeaderError, Method},
};

/// The cheapest look at a message. Law: what it shows is what [`crate::wire::Message::parse`]
/// finds, where that finds a message at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance<'a> {
    /// What the sender wants done.
    pub method: Method,
    /// Request, indication or answer.
    pub class: Class,
    datagram: &'a [u8],
}

/// What a message shows of its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown<'a> {
    /// A MESSAGE-INTEGRITY attribute was sent.
    pub has_integrity: bool,
    /// NONCE of the signed part.
    pub nonce: Option<&'a [u8]>,
}

impl<'a> Glance<'a> {
    /// Checks the header of a message that fills `datagram` exactly, and nothing behind it.
    pub fn of(datagram: &'a [u8]) -> Result<Glance<'a>, HeaderError> {
        let Header { method, class, .. } = Header::parse(datagram)?;
        Ok(Glance { method, class, datagram })
    }

    /// Walks over the attributes up to MESSAGE-INTEGRITY, or to where they no longer add up.
    pub fn credentials(&self) -> Shown<'a> {
        let mut shown = Shown::default();
        let mut is_signed_part = true;
        for attribute in Attributes::new(self.datagram) {
            match attribute.kind {
                AttributeType::NONCE if is_signed_part => {
                    shown.nonce = shown.nonce.or(Some(attribute.value));
                }
                AttributeType::MESSAGE_INTEGRITY => {
                    shown.has_integrity = true;
                    return shown;
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256 | AttributeType::FINGERPRINT => {
                    is_signed_part = false;
                }
                _ => {}
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};

    use super::*;
    use crate::wire::{Message, MessageWriter, TransactionId};

    const KINDS: [AttributeType; 6] = [
        AttributeType::NONCE,
        AttributeType::USERNAME,
        AttributeType::MESSAGE_INTEGRITY,
        AttributeType::MESSAGE_INTEGRITY_SHA256,
        AttributeType::FINGERPRINT,
        AttributeType::SOFTWARE,
    ];

    proptest! {
        #[test]
        fn it_shows_what_the_whole_message_says(
            attributes in prop::collection::vec((0..KINDS.len(), any::<[u8; 4]>()), 0..8),
        ) {
            let mut out = [0; 256];
            let id = TransactionId([1; 12]);
            let mut writer = MessageWriter::new(&mut out, Method::Refresh, Class::Request, id);
            for (kind, value) in attributes {
                writer.attribute(KINDS[kind], &value);
            }
            let end = writer.finish().unwrap();
            let (message, glance) =
                (Message::parse(&out[..end]).unwrap(), Glance::of(&out[..end]).unwrap());
            let expected = Shown { has_integrity: message.has_integrity(), nonce: message.nonce() };
            assert_eq!((glance.method, glance.class), (message.method(), message.class()));
            assert_eq!(glance.credentials(), expected);
        }

        #[test]
        fn any_bytes_are_looked_at_without_panic(bytes: Vec<u8>, length: u8) {
            let head = [0, 1, 0, length & !3, 0x21, 0x12, 0xA4, 0x42];
            let body = [&bytes[..], &[0; 300]].concat();
            let datagram = [&head, &body[..12 + usize::from(length & !3)]].concat();
            let _ = Glance::of(&bytes);
            let _ = Glance::of(&datagram).unwrap().credentials();
        }
    }
}
