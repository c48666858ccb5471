//! What each errno of each operation means: the one place that decides.
//!
//! An operation on a datagram socket can fail for four kinds of reasons, and each has one answer:
//! the moment (retry, or drop and count), the datagram (drop and count, or send it differently),
//! the socket (report it broken), or ourselves (a bug: count it where someone looks). A stream has
//! no second way to its peer: all that is not of the moment ends it.

/// What to do about a failed send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum SendFate {
    /// The socket's buffer or the device's queue is full. Drop: late media is worse than lost.
    Full,
    /// A firewall rule or the kernel's policy forbids this destination. Drop.
    Forbidden,
    /// No route, or the other end was reported gone. Drop.
    Unreachable,
    /// Too long for the path and must not be fragmented, or longer than UDP carries. Drop.
    TooLong,
    /// The kernel does not take this train (a segment longer than the device's packets, mostly):
    /// send its datagrams one by one, and do not join such ones for this flow.
    Unjoin,
    /// This route has no segmentation offload: one by one, and no trains there for a while.
    NoOffload,
    /// Anything else. Drop, and count it as an error.
    Error,
}

/// Decides a failed send; `train` says whether it asked for segmentation.
pub(in crate::io) fn of_send(errno: i32, train: bool) -> SendFate {
    match errno {
        libc::EINVAL | libc::EMSGSIZE if train => SendFate::Unjoin,
        libc::EIO | libc::EOPNOTSUPP | libc::ENOPROTOOPT if train => SendFate::NoOffload,
        libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => SendFate::Full,
        libc::EPERM | libc::EACCES => SendFate::Forbidden,
        libc::ECONNREFUSED
        | libc::EHOSTUNREACH
        | libc::EHOSTDOWN
        | libc::ENETUNREACH
        | libc::ENETDOWN
        | libc::EADDRNOTAVAIL
        | libc::ENODEV
        | libc::ENOPROTOOPT
        | libc::EPROTO => SendFate::Unreachable,
        libc::EMSGSIZE => SendFate::TooLong,
        _ => SendFate::Error,
    }
}

/// What to do about a receive that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum ReceiveFate {
    /// No buffer was free: arm again once some are.
    Starved,
    /// Reports about earlier sends, or a passing shortage: arm again.
    Again,
    /// Cancelled, because we closed the socket.
    Cancelled,
    /// This socket will not receive again.
    Broken,
}

/// Decides an ended receive.
pub(in crate::io) fn of_receive(errno: i32) -> ReceiveFate {
    match errno {
        libc::ENOBUFS => ReceiveFate::Starved,
        libc::ECANCELED => ReceiveFate::Cancelled,
        libc::EAGAIN
        | libc::EINTR
        | libc::ENOMEM
        | libc::ECONNREFUSED
        | libc::EHOSTUNREACH
        | libc::EHOSTDOWN
        | libc::ENETUNREACH
        | libc::ENETDOWN
        | libc::EMSGSIZE
        | libc::EPROTO
        | libc::ENOPROTOOPT
        | libc::EACCES => ReceiveFate::Again,
        _ => ReceiveFate::Broken,
    }
}

/// What to do when waiting in the kernel returned an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum WaitFate {
    /// The time is up, a signal came, or completions have to be collected first: all is well.
    Return,
    /// The ring or the epoll instance itself failed.
    Fatal,
}

/// Decides a failed wait.
pub(in crate::io) fn of_wait(errno: i32) -> WaitFate {
    match errno {
        libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN => WaitFate::Return,
        _ => WaitFate::Fatal,
    }
}

/// What to do about an accept that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum AcceptFate {
    /// The connection was gone before it was taken, or a firewall forbade it: take the next.
    Again,
    /// There can be no more descriptors, or no memory: whoever tries on at once spins.
    Rest,
    /// Cancelled, because we stopped accepting.
    Stopped,
    /// This listener will not accept again.
    Broken,
}

/// Decides a failed accept. Linux also returns errors that are pending on the new connection.
pub(in crate::io) fn of_accept(errno: i32) -> AcceptFate {
    match errno {
        libc::EAGAIN
        | libc::EINTR
        | libc::ECONNABORTED
        | libc::ECONNRESET
        | libc::EPERM
        | libc::EPROTO
        | libc::ENOPROTOOPT
        | libc::ETIMEDOUT
        | libc::EHOSTDOWN
        | libc::ENONET
        | libc::EHOSTUNREACH
        | libc::ENETDOWN
        | libc::ENETUNREACH => AcceptFate::Again,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => AcceptFate::Rest,
        libc::ECANCELED => AcceptFate::Stopped,
        _ => AcceptFate::Broken,
    }
}

/// What to do about a receive of a stream that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum ReadFate {
    /// No buffer was free: receive again once half of them are.
    Starved,
    /// Receive again.
    Again,
    /// Cancelled, because it is paused or ends.
    Stopped,
    /// The stream is gone: reset by the peer, timed out, or out of memory.
    Gone,
}

/// Decides a failed receive of a stream.
pub(in crate::io) fn of_read(errno: i32) -> ReadFate {
    match errno {
        libc::ENOBUFS => ReadFate::Starved,
        libc::EAGAIN | libc::EINTR => ReadFate::Again,
        libc::ECANCELED => ReadFate::Stopped,
        _ => ReadFate::Gone,
    }
}

/// What to do about a write to a stream that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum WriteFate {
    /// Write again.
    Again,
    /// Cancelled, because the stream ends.
    Stopped,
    /// The stream is gone: reset by the peer, timed out, or out of memory.
    Gone,
}

/// Decides a failed write to a stream.
pub(in crate::io) fn of_write(errno: i32) -> WriteFate {
    match errno {
        libc::EAGAIN | libc::EINTR => WriteFate::Again,
        libc::ECANCELED => WriteFate::Stopped,
        _ => WriteFate::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_is_taken_apart_where_a_single_is_dropped() {
        assert_eq!(of_send(libc::EMSGSIZE, true), SendFate::Unjoin);
        assert_eq!(of_send(libc::EMSGSIZE, false), SendFate::TooLong);
        assert_eq!(of_send(libc::EINVAL, false), SendFate::Error);
        assert_eq!(of_send(libc::EIO, true), SendFate::NoOffload);
        assert_eq!(of_send(libc::EAGAIN, true), SendFate::Full);
    }

    #[test]
    fn what_lacks_descriptors_rests_and_what_lost_a_client_goes_on() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS] {
            assert_eq!(of_accept(errno), AcceptFate::Rest);
        }
        assert_eq!(of_accept(libc::ECONNABORTED), AcceptFate::Again);
        assert_eq!(of_accept(libc::EINVAL), AcceptFate::Broken);
    }

    #[test]
    fn a_stream_outlives_the_moment_alone() {
        assert_eq!(
            (of_read(libc::EINTR), of_write(libc::EAGAIN)),
            (ReadFate::Again, WriteFate::Again)
        );
        assert_eq!(
            (of_read(libc::ENOBUFS), of_write(libc::ENOBUFS)),
            (ReadFate::Starved, WriteFate::Gone)
        );
        assert_eq!(
            (of_read(libc::ETIMEDOUT), of_write(libc::EPIPE)),
            (ReadFate::Gone, WriteFate::Gone)
        );
    }

    #[test]
    fn only_the_socket_itself_breaks_a_receive() {
        assert_eq!(of_receive(libc::ENOBUFS), ReceiveFate::Starved);
        assert_eq!(of_receive(libc::ECONNREFUSED), ReceiveFate::Again);
        assert_eq!(of_receive(libc::EBADF), ReceiveFate::Broken);
    }
}
