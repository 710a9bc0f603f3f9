//! Chat completions from any server that speaks OpenAI's protocol: many at a time, none paid for twice.
//!
//! ```text
//!   plan: (place, request), …
//!     │ journal      is its answer there already?
//!     │ budget       the most it can cost is set aside, or the plan ends here
//!     │ pace         as many on their way as the server bears
//!     ▼ client       sent, and again while that may help
//!   answer
//!     │ journal      on the disk
//!     ▼
//!   whoever asked
//! ```
//!
//! A request is named by the hash of its body and its place in the plan, so that an answer can only ever be joined to its own.

mod answer;
mod budget;
mod client;
mod exchange;
mod interrupt;
mod journal;
mod pace;
mod request;

pub use answer::{Answer, Outcome, Usage};
pub use client::{Asked, Asking, Client, DEFAULT_KEY_ENV, Ended};
pub use interrupt::Interrupt;
pub use request::{Message, Request, Role};
