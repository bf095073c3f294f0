//! PEP 3333, behaviour by behaviour, without sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

/// Tests that a Python without interpreters of their own passes without a look.
macro_rules! tests {
    ($(#[doc = $doc:literal])* $($name:ident $body:block)*) => {
        $(#[test]
        fn $name() {
            if can_run() $body
        })*
    };
}

mod bodies;
mod details;
mod environ;
mod harness;
mod inspecting;
mod loading;
mod start_response;
mod watching;
