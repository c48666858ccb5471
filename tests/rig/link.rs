//! A client's TCP or TLS connection, cut into messages as RFC 8656 §12.5 says.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

pub struct Link {
    pub stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    arrived: Vec<u8>,
}

impl Link {
    pub fn to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server takes connections");
        Self::of(stream)
    }

    pub fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option of TCP");
        Self { stream, tls: None, arrived: Vec::new() }
    }

    /// Over TLS, to a server that must prove this name with this certificate (DER); an error says
    /// that it did not.
    pub fn over_tls(server: SocketAddr, name: &str, trusted: &[u8]) -> std::io::Result<Self> {
        let mut tls = Self::tls(name, trusted);
        let mut link = Self::to(server);
        link.stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut link.stream)?;
        }
        Ok(Self { tls: Some(Box::new(tls)), ..link })
    }

    /// TLS that has sent nothing, of a client that trusts this certificate.
    pub fn tls(name: &str, trusted: &[u8]) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(trusted.to_vec())).expect("a certificate");
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).expect("a host name");
        ClientConnection::new(Arc::new(config), name).expect("a client")
    }

    /// Sends a message with its padding.
    pub fn send(&mut self, message: &[u8]) {
        let mut padded = message.to_vec();
        padded.resize(message.len().next_multiple_of(4), 0);
        self.write(&padded);
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        let written = match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).write_all(bytes),
            None => self.stream.write_all(bytes),
        };
        written.expect("the server reads");
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

    /// Reads so many bytes as they are, which must come in time.
    pub fn raw(&mut self, bytes: usize, patience: Duration) -> Vec<u8> {
        let deadline = Instant::now() + patience;
        while self.arrived.len() < bytes {
            let left = deadline.saturating_duration_since(Instant::now());
            let came = !left.is_zero() && self.read(left);
            assert!(came, "{} of {bytes} bytes came", self.arrived.len());
        }
        self.arrived.drain(..bytes).collect()
    }

    /// Reads whatever comes until the server sends no more, which must be in time.
    pub fn rest(&mut self, patience: Duration) -> Vec<u8> {
        let deadline = Instant::now() + patience;
        let mut bytes = std::mem::take(&mut self.arrived);
        let mut buffer = [0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server never ended it after {} bytes", bytes.len());
            self.stream.set_read_timeout(Some(left)).expect("a timeout");
            match self.read_some(&mut buffer) {
                Ok(0) => return bytes,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
                Err(error) if is_late(&error) => {}
                Err(error) => panic!("reading: {error}"),
            }
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(buffer),
            None => self.stream.read(buffer),
        }
    }

    /// Reads once; false when nothing came, or the end.
    fn read(&mut self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).expect("a timeout");
        let mut buffer = [0; 65_536];
        match self.read_some(&mut buffer) {
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
