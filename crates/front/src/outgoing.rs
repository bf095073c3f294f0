//! What responses get on their way out.

mod security;

pub(crate) use security::secure;
