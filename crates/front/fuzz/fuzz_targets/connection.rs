//! Raw bytes to the real connection code. What the application is asked must be what another parser reads in them, or the
//! request was refused.
//!
//! The first byte of the input says in how many pieces, and the bytes after it where they are cut; what is left is sent.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use stack_front::fuzzing::{Asked, Heard, Talk};
use stack_reference::{Limits, agree};

thread_local! {
    static TALK: OnceCell<Talk> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    let Some((cuts, bytes)) = input.split_first() else { return };
    let Some((cuts, bytes)) = bytes.split_at_checked(usize::from(cuts % 4)) else { return };
    let mut pieces = Vec::new();
    let mut rest = bytes;
    for cut in cuts {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(*cut)));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    // With prior knowledge of HTTP/2 this is another protocol.
    if bytes.starts_with(b"PRI * HTTP/2.0") {
        return;
    }
    let Heard { asked, statuses } = TALK.with(|talk| {
        let flags = [("max_body_size", "16384"), ("body_buffer_size", "16384")];
        talk.get_or_init(|| Talk::new(&flags)).converse(&pieces)
    });
    let asked: Vec<_> = asked.into_iter().map(as_reference).collect();
    if let Err(what) = agree(bytes, &Limits::TABLE, &asked, &statuses) {
        panic!("{what}\nin {:?}", String::from_utf8_lossy(bytes));
    }
});

fn as_reference(asked: Asked) -> stack_reference::Asked {
    let Asked { method, target, minor, fields, body } = asked;
    stack_reference::Asked { method, target, minor, fields, body }
}
