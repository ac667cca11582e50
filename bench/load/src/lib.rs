//! A load generator for WebSocket servers, made to find out what a message costs the *server*.
//!
//! One thread opens the connections, keeps a fixed number of messages in flight on each, and checks every reply for
//! content and order. It reads the server's CPU time and memory from `/proc` at the edges of the measured window, so
//! a figure is "server CPU per message" whether or not the generator kept the server busy all the time.
//!
//! ```text
//! cases       echo, fan-out, idle, handshake, hold, stalled: what is sent when, and what is counted
//! opening     many connections at once, through the upgrade
//! connection  one socket over wirelark-proto, with what is unfinished in either direction
//! dialect     what a message looks like: WebSocket alone, contracts, JSON-RPC, Socket.IO
//! message     stamped messages and their check
//! poller      epoll, with the choice to spin
//! process     CPU time and memory, from /proc
//! report      the result
//! ```

pub mod cases;
pub mod connection;
pub mod dialect;
pub mod message;
pub mod opening;
pub mod poller;
pub mod process;
pub mod report;
