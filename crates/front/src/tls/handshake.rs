//! The begin of a connection with TLS.

use std::{io, sync::Arc};

use rustls::{ServerConfig, server::Acceptor};
use stack_bridge::TlsFacts;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_rustls::{StartHandshake, server::TlsStream};

use super::{Tls, client};
use crate::transport::{Counted, Plain, Socket};

/// The answer to a client that does not speak TLS.
pub(crate) const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
content-type: text/plain; charset=utf-8\r\ncontent-length: 61\r\nserver: stack\r\n\r\n\
This port speaks HTTPS. Write https:// in place of http://.\r\n";

/// What is encrypted ahead of a socket that takes nothing. Enough for a few records, which go out in one call.
const BUFFER_LIMIT: usize = 64 * 1024;

/// Room for most clients' first message.
const FIRST_READ: usize = 2048;

/// Why there is no encrypted connection. The socket is given back where the client is to read what was said to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the client took too long")]
    Timeout,
    #[error("the client left without a word")]
    Silent,
    #[error("the client speaks plain HTTP")]
    PlainHttp(Plain),
    #[error("{0}")]
    Tls(io::Error, Plain),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Takes a connection through its handshake. Boxed by its caller, since plain connections have no use for its state.
pub(crate) async fn accept(tls: &Tls, socket: Plain) -> Result<(Socket, TlsFacts), HandshakeError> {
    // A limit past the end of time is none.
    let outcome = timeout(tls.handshake_timeout, shake_hands(tls.server_config(), socket)).await;
    let stream = outcome.unwrap_or(Err(HandshakeError::Timeout))?;
    let facts = client::facts(stream.get_ref().1);
    Ok((Socket::Tls(Box::new(stream)), facts))
}

async fn shake_hands(config: Arc<ServerConfig>, mut socket: Plain) -> Result<TlsStream<Counted>, HandshakeError> {
    let mut acceptor = Acceptor::default();
    let mut buffer = [0; FIRST_READ];
    let mut is_first = true;
    loop {
        let read = match socket.read(&mut buffer).await? {
            0 if is_first => return Err(HandshakeError::Silent),
            0 => return Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into())),
            read => read,
        };
        // Records of TLS begin with a small number, requests of HTTP with a letter.
        if is_first && buffer[0].is_ascii_alphabetic() {
            return Err(HandshakeError::PlainHttp(socket));
        }
        is_first = false;
        let mut input = &buffer[..read];
        while !input.is_empty() {
            acceptor.read_tls(&mut input)?;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let start = StartHandshake::from_parts(accepted, Counted::new(socket));
                let accept = start.into_stream_with(config, |connection| {
                    connection.set_buffer_limit(Some(BUFFER_LIMIT));
                });
                return accept
                    .into_fallible()
                    .await
                    .map_err(|(error, socket)| HandshakeError::Tls(error, socket.into_inner()));
            }
            Err((error, mut alert)) => {
                let mut message = Vec::new();
                alert.write_all(&mut message)?;
                // The client may be gone.
                let _ = socket.write_all(&message).await;
                return Err(HandshakeError::Tls(io::Error::new(io::ErrorKind::InvalidData, error), socket));
            }
        }
    }
}
