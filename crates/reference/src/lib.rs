//! A second reading of RFC 9112, to hold the front's against. Only tests and the fuzz target know it.
//!
//! It owns the table of raw requests with what each must come to ([`table()`]), a parser of requests that is made to be
//! checked by eye and not to be fast ([`conversation`]), and a mutator that makes more requests from those of the table
//! ([`Mutator`]). It knows nothing of the front, not even its types: what they have in common is bytes.
//!
//! Invariants:
//! - The parser is written from the RFCs alone. Where those leave a choice that two readers could take differently, it
//!   refuses.
//! - It agrees with every row of the table.
#![forbid(unsafe_code)]

mod agree;
mod mutate;
mod request;
mod table;

pub use agree::{Asked, agree};
pub use mutate::Mutator;
pub use request::{Conversation, End, Limits, Request, conversation};
pub use table::{Outcome, Part, Row, Seen, TableError, parse, table};
