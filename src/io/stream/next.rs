//! Telling what came of streams.
//!
//! News is looked at when it is taken: what a stream brought before it was hung up does not surface
//! after, and what it brought before it was detached goes with it.

use super::{
    acceptor::{Acceptor, AcceptorPhase},
    entry::{Stream, StreamPhase},
    event::{AcceptorId, HangUpHow, StreamEvent, StreamId},
    news::News,
    stream_set::StreamSet,
};
use crate::io::{engine::table::Key, memory::pool::Lease};

impl StreamSet {
    /// Takes the next event.
    pub(in crate::io) fn next(&mut self) -> Option<StreamEvent> {
        loop {
            let news = self.news.pop_front()?;
            if let Some(event) = self.event(news) {
                return Some(event);
            }
        }
    }

    /// Has what waited for this turn surface first in it.
    pub(super) fn recall(&mut self) {
        while let Some(news) = self.later.pop_back() {
            if let Some(stream) = news.follows().and_then(|key| self.streams.at(key)) {
                stream.is_deferred = false;
            }
            self.news.push_front(news);
        }
    }

    fn event(&mut self, news: News) -> Option<StreamEvent> {
        if news.follows().is_some_and(|key| self.must_wait(key, &news)) {
            self.later.push_back(news);
            return None;
        }
        match news {
            News::Accepted { acceptor, stream, peer, local } => {
                self.is_accepted(acceptor, stream).then(|| StreamEvent::Accepted {
                    acceptor: AcceptorId(acceptor.slot),
                    stream: StreamId(stream.slot),
                    peer,
                    local,
                })
            }
            News::Connected(key) => {
                self.surfaces(key).then_some(StreamEvent::Connected(StreamId(key.slot)))
            }
            News::Bytes(key, lease) => self.bytes(key, lease),
            News::Finished(key) => {
                self.surfaces(key).then_some(StreamEvent::Finished(StreamId(key.slot)))
            }
            News::Written(key, buffer) => {
                let detaching = |it: &mut Stream| it.phase == StreamPhase::Detaching;
                let surfaces = self.surfaces(key) || self.streams.at(key).is_some_and(detaching);
                surfaces.then_some(StreamEvent::Written(StreamId(key.slot), buffer))
            }
            News::Ended(key) => self.ended(key),
            News::AcceptorBroken(key, errno) => {
                let is_broken = |it: &mut Acceptor| it.phase == AcceptorPhase::Broken;
                let broken = StreamEvent::AcceptorBroken(AcceptorId(key.slot), errno);
                self.acceptors.at(key).is_some_and(is_broken).then_some(broken)
            }
        }
    }

    /// Whether news has to wait for the next turn, since the stream has had its share of this one.
    fn must_wait(&mut self, key: Key, news: &News) -> bool {
        let (surfaces, turn) = (self.surfaces(key), self.turn);
        let Some(stream) = self.streams.at(key) else { return false };
        if let News::Bytes(_, lease) = news
            && surfaces
            && !stream.is_deferred
        {
            stream.is_deferred = !stream.may_hand_in(turn, lease.range().len());
        }
        stream.is_deferred
    }

    /// Whether what arrived on a stream surfaces.
    fn surfaces(&mut self, key: Key) -> bool {
        let surfaces = |stream: &mut Stream| match stream.phase {
            StreamPhase::Open | StreamPhase::Broken(_) => true,
            StreamPhase::Connecting | StreamPhase::Detaching | StreamPhase::HungUp(..) => false,
        };
        self.streams.at(key).is_some_and(surfaces)
    }

    /// Announces a stream, unless its acceptor was stopped meanwhile: then it goes, too.
    fn is_accepted(&mut self, acceptor: Key, stream: Key) -> bool {
        let is_open = |it: &mut Acceptor| it.phase != AcceptorPhase::Stopped;
        let is_open = self.acceptors.at(acceptor).is_some_and(is_open);
        if let Some(stream) = self.streams.at(stream) {
            stream.is_announced = is_open;
            if !is_open {
                stream.hang_up(HangUpHow::Reset);
            }
        }
        self.list(stream);
        is_open
    }

    fn bytes(&mut self, key: Key, lease: Lease) -> Option<StreamEvent> {
        if self.surfaces(key) {
            return Some(StreamEvent::Bytes(StreamId(key.slot), lease));
        }
        let stream = self.streams.at(key)?;
        if stream.phase == StreamPhase::Detaching {
            stream.unread.extend_from_slice(lease.payload());
        }
        None
    }

    /// The end of a stream that has nothing under way any more.
    fn ended(&mut self, key: Key) -> Option<StreamEvent> {
        let mut stream = self.streams.remove(key)?;
        self.acceptors_due = true;
        let (id, is_announced) = (StreamId(key.slot), stream.is_announced);
        let event = match stream.phase {
            StreamPhase::Detaching => {
                let unread = std::mem::take(&mut stream.unread);
                StreamEvent::Detached { stream: id, socket: stream.into_socket(), unread }
            }
            StreamPhase::HungUp(how, errno) => {
                if how == HangUpHow::Reset {
                    stream.reset();
                }
                StreamEvent::Closed(id, errno)
            }
            StreamPhase::Broken(errno) => StreamEvent::Closed(id, Some(errno)),
            StreamPhase::Connecting | StreamPhase::Open => unreachable!("only what is ending ends"),
        };
        is_announced.then_some(event)
    }
}
