//! Every chapter of the book, as documentation: `cargo test --doc` compiles its Rust blocks, and runs those that need
//! no network. A chapter that is added to `docs/src/SUMMARY.md` is added here too.

#![doc = include_str!("../../src/introduction.md")]

#[doc = include_str!("../../src/getting-started.md")]
pub mod getting_started {}

#[doc = include_str!("../../src/examples.md")]
pub mod examples {}

#[doc = include_str!("../../src/messages.md")]
pub mod messages {}

#[doc = include_str!("../../src/contracts.md")]
pub mod contracts {}

#[doc = include_str!("../../src/changing-a-contract.md")]
pub mod changing_a_contract {}

#[doc = include_str!("../../src/typescript.md")]
pub mod typescript {}

#[doc = include_str!("../../src/limits.md")]
pub mod limits {}

#[doc = include_str!("../../src/rooms.md")]
pub mod rooms {}

#[doc = include_str!("../../src/authentication.md")]
pub mod authentication {}

#[doc = include_str!("../../src/jobs.md")]
pub mod jobs {}

#[doc = include_str!("../../src/users.md")]
pub mod users {}

#[doc = include_str!("../../src/memory.md")]
pub mod memory {}

#[doc = include_str!("../../src/testing.md")]
pub mod testing {}

#[doc = include_str!("../../src/observability.md")]
pub mod observability {}

#[doc = include_str!("../../src/deploying.md")]
pub mod deploying {}

#[doc = include_str!("../../src/close-codes.md")]
pub mod close_codes {}
