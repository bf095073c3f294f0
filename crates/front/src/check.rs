//! A request that the server makes of itself, to see whether it works before it serves anybody.

use std::{io, sync::Arc, time::Duration};

use http::StatusCode;
use stack_bridge::{Local, Peer, Scheme};
use stack_config::ReloadCheck;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use crate::{
    Front,
    connection::{self, Connection, Origin},
    server::Server,
    transport::Plain,
};

/// How long the answer may take.
const LIMIT: Duration = Duration::from_secs(30);

/// As much of the answer as is read.
const MOST: u64 = 1024 * 1024;

/// Why a check has failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Another answer than 2xx or 3xx.
    #[error("it was answered with {0}")]
    Status(StatusCode),
    /// No answer in time.
    #[error("it was not answered within {} seconds", LIMIT.as_secs())]
    Timeout,
    /// No answer at all.
    #[error("it was not answered")]
    Nothing,
    /// The request could not be made.
    #[error("it can not be asked for")]
    Io(#[from] io::Error),
}

impl Front {
    /// Asks the application as a client would, on a connection that needs no listener. The connection is that of a Unix
    /// socket, so what counts or refuses addresses lets it be.
    pub async fn check(&self, check: &ReloadCheck) -> Result<StatusCode, CheckError> {
        let status = timeout(LIMIT, ask(&self.server, check)).await.map_err(|_| CheckError::Timeout)??;
        if status.is_success() || status.is_redirection() { Ok(status) } else { Err(CheckError::Status(status)) }
    }
}

async fn ask(server: &Arc<Server>, check: &ReloadCheck) -> Result<StatusCode, CheckError> {
    let (mut near, far) = UnixStream::pair()?;
    let is_https = check.is_https.unwrap_or(server.tls.is_some());
    let (scheme, port) = if is_https { (Scheme::Https, "443") } else { (Scheme::Http, "80") };
    let origin = Origin {
        scheme,
        peer: Peer::Unix,
        local: Arc::new(Local { name: "localhost".to_owned(), port: port.to_owned() }),
        redirect_to: None,
        is_proxy: false,
        is_direct: true,
    };
    let server = Arc::clone(server);
    let serving = async move {
        let connection = Arc::new(Connection::new(origin));
        connection::serve_own(&server, Plain::Unix(far), &connection).await;
    };
    let asking = async {
        let host = check.host.as_deref().unwrap_or("localhost");
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: stack-reload-check\r\nConnection: close\r\n\r\n",
            check.target
        );
        near.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        (&mut near).take(MOST).read_to_end(&mut answer).await?;
        status(&answer).ok_or(CheckError::Nothing)
    };
    tokio::select! {
        answer = asking => answer,
        // It ends with the connection: the answer is there then, or will not come.
        () = async { serving.await; std::future::pending().await } => unreachable!("it is waited for the answer"),
    }
}

/// The status of a response that has been read.
fn status(response: &[u8]) -> Option<StatusCode> {
    let line = response.split(|byte| *byte == b'\r').next()?;
    StatusCode::from_bytes(line.split(|byte| *byte == b' ').nth(1)?).ok()
}
