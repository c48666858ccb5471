//! Browsers that have come to this port: their bytes go to the web backend as they are.

use crate::worker::{
    reactor::Worker,
    stream::{
        bounds::rules::{WebGreeting, WebPlace},
        entry::{Far, FarPurpose},
    },
};
use crate::{
    io::{Driver, Remote, StreamId},
    stream::HangUp,
    turn::Now,
    wire::{WRITTEN_PROXY_BYTES, write_proxy},
};

/// How long the backend may take to be reached.
const CONNECT_MS: u64 = 5_000;

impl<D: Driver> Worker<D> {
    /// Connects a browser to the backend, where all that it has sent so far goes first.
    pub(in crate::worker::stream) fn open_web(&mut self, now: Now, stream: StreamId, first: &[u8]) {
        let Some(client) = self.streams.client(stream) else { return };
        let (peer, server) = (client.connection.client(), client.connection.server());
        let backend = self.streams.rules.web_backend.clone();
        let opened = backend.as_deref().map(|backend| match &backend.place {
            WebPlace::Tcp(to) => self.connect_far(Remote::Tcp { from: None, to: *to }),
            WebPlace::Unix(path) => self.connect_far(Remote::Unix(path)),
        });
        let (Some(backend), Some(Ok(id))) = (backend, &opened) else {
            let error = opened.and_then(Result::err);
            self.note_unreached(FarPurpose::Web, error.and_then(|error| error.raw_os_error()));
            if let Some(client) = self.streams.client(stream) {
                client.connection.drain(now.mono_ms, HangUp::WebBackend);
            }
            return;
        };
        let mut far = Far::new(FarPurpose::Web, now.mono_ms + CONNECT_MS);
        if backend.greeting == WebGreeting::Proxy {
            let mut header = [0; WRITTEN_PROXY_BYTES];
            far.waiting.extend_from_slice(write_proxy(&mut header, peer, server));
        }
        far.waiting.extend_from_slice(first);
        self.streams.insert_far(*id, far);
        self.streams.pair(stream, *id);
    }
}
