//! Rings, buffers and sockets.
