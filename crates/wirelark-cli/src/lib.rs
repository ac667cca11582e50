//! What the command `wirelark` does: it reads the AsyncAPI document of an app, and makes of it what other languages need.
//!
//! - [`source`] reads a document from a server, a file or standard input;
//! - [`api`] makes of it an [`Api`](api::Api): contracts, calls, pushes and schemas as plain data. A document is input
//!   from outside, and whatever is wrong with it is an error that says where;
//! - [`typescript`] and [`json_schema`] write it in other words;
//! - [`generate`] is the command that puts these together, and [`check`] the one that compares two documents.

pub mod api;
pub mod check;
pub mod generate;
pub mod json_schema;
mod shape;
pub mod source;
pub mod typescript;
