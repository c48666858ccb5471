//! A client's TCP connection, cut into messages as RFC 8656 §12.5 says.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct Link {
    pub stream: TcpStream,
    arrived: Vec<u8>,
}

impl Link {
    pub fn to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server takes connections");
        Self::of(stream)
    }

    pub fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option of TCP");
        Self { stream, arrived: Vec::new() }
    }

    /// Sends a message with its padding.
    pub fn send(&mut self, message: &[u8]) {
        let mut padded = message.to_vec();
        padded.resize(message.len().next_multiple_of(4), 0);
        self.write(&padded);
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// The next message with its padding, if it comes in time.
    pub fn receive(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(bytes) = message_bytes(&self.arrived)
                && bytes <= self.arrived.len()
            {
                return Some(self.arrived.drain(..bytes).collect());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.read(left) {
                return None;
            }
        }
    }

    /// Reads whatever comes until the server sends no more, which must be in time.
    pub fn rest(&mut self, patience: Duration) -> Vec<u8> {
        let deadline = Instant::now() + patience;
        let mut bytes = std::mem::take(&mut self.arrived);
        let mut buffer = [0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server never ended it after {bytes:?}");
            self.stream.set_read_timeout(Some(left)).expect("a timeout");
            match self.stream.read(&mut buffer) {
                Ok(0) => return bytes,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
                Err(error) if is_late(&error) => {}
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    /// Reads once; false when nothing came, or the end.
    fn read(&mut self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).expect("a timeout");
        let mut buffer = [0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.arrived.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if is_late(&error) => false,
            Err(error) => panic!("reading: {error}"),
        }
    }
}

fn is_late(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Bytes of the message at the front, once they can be known.
fn message_bytes(stream: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([*stream.get(2)?, *stream.get(3)?]));
    match stream[0] {
        0..=3 => Some(20 + length),
        64..=79 => Some(4 + length.next_multiple_of(4)),
        other => panic!("a message begins with {other}"),
    }
}
