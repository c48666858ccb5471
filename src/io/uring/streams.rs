//! Streams through the ring: operations on plain descriptors.
//!
//! ```text
//! accept    some of a listener under way, each with a place for an address
//! receive   multishot but for unix sockets, into the buffers of a group of its own
//! write     one, which waits in the kernel until all of it is taken
//! ```
//!
//! A receive brings nothing that was not there when the kernel was called (DEFER_TASKRUN), so what
//! arrives while a stream is paused or detached stays in its socket.
//!
//! The buffer group is registered for the first listener or stream.
#![expect(unsafe_code, reason = "vouches for the memory that operations name")]

use std::{
    io,
    net::TcpListener,
    os::fd::{AsRawFd, OwnedFd},
    rc::Rc,
};

use io_uring::types::Fd;
use socket2::{SockAddr, SockRef};

use super::{buffer_ring::STREAM_GROUP, kernel::Kernel, ring, token::Token};
use crate::io::{
    engine::table::Key,
    memory::pool::Incoming,
    stream::kernel::{Operation, Shots, StreamKernel, Write},
};

impl StreamKernel for Kernel {
    fn begin_streams(&mut self) -> io::Result<()> {
        self.shared.streams.provide(&self.ring, &self.pool)
    }

    /// Of a socket that does not block, some kernels' operations do not wait.
    fn admit_stream(&mut self, socket: &OwnedFd) -> io::Result<()> {
        SockRef::from(socket).set_nonblocking(false)?;
        self.begin_streams()
    }

    fn admit_listener(&mut self, listener: &TcpListener) -> io::Result<()> {
        listener.set_nonblocking(false)?;
        self.begin_streams()
    }

    fn accept(&mut self, key: Key, listener: &Rc<TcpListener>) -> io::Result<()> {
        let streams = &mut self.shared.streams;
        let number = streams.take_accept(key);
        let name = &mut streams.accepts[number as usize].name;
        let accept = ring::accept(Fd(listener.as_raw_fd()), name);
        // SAFETY: the place for the name is boxed and lives in `shared`, which `drop` keeps until
        // the accept has ended; only its completion frees its number.
        unsafe { self.ring.push(accept, Token::Accept(number).pack()) }?;
        streams.under_way += 1;
        Ok(())
    }

    fn stop_accepts(&mut self, key: Key) -> io::Result<()> {
        for (number, accept) in self.shared.streams.accepts.iter().enumerate() {
            if accept.key == Some(key) {
                let target = Token::Accept(number as u32).pack();
                self.ring.push_cancel(target, Token::StopAccept(key).pack())?;
            }
        }
        Ok(())
    }

    fn connect_stream(
        &mut self,
        key: Key,
        socket: &Rc<OwnedFd>,
        address: SockAddr,
    ) -> io::Result<()> {
        let streams = &mut self.shared.streams;
        let address = streams.connects.entry(key.slot).insert_entry(Box::new(address));
        let connect = ring::connect(Fd(socket.as_raw_fd()), address.get());
        // SAFETY: the address is boxed and lives in `shared`, which `drop` keeps until the connect
        // has ended; only its completion takes it out, and a slot has one connect at most.
        unsafe { self.ring.push(connect, Token::StreamConnect(key).pack()) }?;
        streams.under_way += 1;
        Ok(())
    }

    fn may_receive_streams(&mut self) -> bool {
        self.shared.streams.may_receive()
    }

    fn receive_stream(&mut self, key: Key, socket: &Rc<OwnedFd>, shots: Shots) -> io::Result<()> {
        let (streams, socket) = (&mut self.shared.streams, Fd(socket.as_raw_fd()));
        let receive = match shots {
            Shots::Many => ring::receive_stream(socket, STREAM_GROUP),
            Shots::One => ring::receive_once(socket, STREAM_GROUP, Incoming::Stream.bytes()),
        };
        // SAFETY: the buffer group lives in `shared`, which `drop` keeps until the receive has
        // ended. Published buffers are out of safe code's reach (see `Pool`).
        unsafe { self.ring.push(receive, Token::StreamReceive(key).pack()) }?;
        streams.receives(key);
        Ok(())
    }

    fn write_stream(&mut self, key: Key, socket: &Rc<OwnedFd>, write: Write) -> io::Result<()> {
        let (streams, slot) = (&mut self.shared.streams, key.slot as usize);
        if slot >= streams.writes.len() {
            streams.writes.resize_with(slot + 1, || None);
        }
        let write = streams.writes[slot].insert(write);
        let send = ring::send_stream(Fd(socket.as_raw_fd()), write.left());
        // SAFETY: the bytes are the heap's, whatever becomes of the vector of writes, and belong to
        // `shared`, which `drop` keeps until the write has ended; only its completion takes them
        // out, and a slot has one write under way at most.
        unsafe { self.ring.push(send, Token::StreamWrite(key).pack()) }?;
        streams.under_way += 1;
        Ok(())
    }

    fn stop(&mut self, key: Key, operation: Operation) -> io::Result<()> {
        let target = match operation {
            Operation::Connect => Token::StreamConnect(key),
            Operation::Receive => Token::StreamReceive(key),
            Operation::Write => Token::StreamWrite(key),
        };
        self.ring.push_cancel(target.pack(), Token::StopStream(key, operation).pack())
    }
}
