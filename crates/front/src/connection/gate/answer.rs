//! An answer that hyper did not make, on its way out.

use std::{
    io,
    task::{Context, Poll, ready},
};

use crate::{connection::sending::Sending, files::Piece, ready::Answer, timer::LazyTimer, transport::Socket};

/// Bytes of a file that are sent before the other connections of this thread have a turn.
const TURN: usize = 1024 * 1024;

/// Sends what is left of an answer.
pub(super) fn poll_send(
    answer: &mut Answer,
    sending: &mut Sending,
    socket: &mut Socket,
    timer: &mut LazyTimer,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut turn = 0;
    let mut piece: Option<Piece> = None;
    loop {
        // Before the head, which would wait for it.
        if let (None, Some(file)) = (&piece, answer.file()) {
            piece = Some(ready!(file.poll_piece(cx)).inspect_err(cut_short)?);
        }
        if !answer.has_sent_memory() {
            let written = if let Some(rest) = answer.rest_in_one() {
                sending.poll_write(socket, timer, cx, rest)
            } else if piece.is_some() && !sending.is_throttled() {
                let rest = answer.rest();
                let send = |socket: &mut Socket, cx: &mut Context<'_>, _| socket.poll_write_before_file(cx, &rest);
                sending.poll_send(socket, timer, cx, usize::MAX, send)
            } else {
                sending.poll_write_vectored(socket, timer, cx, &answer.rest())
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => answer.advance(written),
            }
            continue;
        }
        let Some(Piece { file, offset, length }) = &mut piece else { return Poll::Ready(Ok(())) };
        if turn >= TURN {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let send = |socket: &mut Socket, cx: &mut Context<'_>, room| socket.poll_send_file(cx, file, *offset, room);
        let sent = ready!(sending.poll_send(socket, timer, cx, *length, send))?;
        if sent == 0 {
            let error = io::ErrorKind::UnexpectedEof.into();
            cut_short(&error);
            return Poll::Ready(Err(error));
        }
        answer.advance_file(sent);
        turn += sent;
        // What is left of a piece that was there a moment ago still is.
        (*offset, *length) = (*offset + sent as u64, *length - sent);
        if *length == 0 {
            piece = None;
        }
    }
}

fn cut_short(error: &io::Error) {
    tracing::warn!(code = "STACK0307", %error, "static file cut short");
}
