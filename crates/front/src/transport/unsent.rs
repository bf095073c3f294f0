//! What the kernel still holds of what was written.

use std::os::fd::AsFd;

use rustix::{
    ffi::c_int,
    ioctl::{Getter, Opcode, ioctl},
};

use super::{Plain, Socket};

/// TIOCOUTQ, which sockets have under the name SIOCOUTQ (tcp(7), unix(7)).
const SIOCOUTQ: Opcode = 0x5411;

impl Socket {
    /// Bytes that the other end has taken, of so many that were written here; of an encrypted connection in bytes of its
    /// records. It only ever grows.
    pub(crate) fn arrived(&self, written: u64) -> u64 {
        match self {
            Self::Plain(plain) => written.saturating_sub(plain.unsent()),
            Self::Tls(stream) => {
                let counted = stream.get_ref().0;
                counted.taken.saturating_sub(counted.plain.unsent())
            }
        }
    }
}

impl Plain {
    /// Bytes that were written and that the other end has not acknowledged, or, on a Unix socket, not read.
    fn unsent(&self) -> u64 {
        // SAFETY: the request is one that fills in one `int`, whatever the descriptor, and that is what this getter passes.
        #[expect(unsafe_code, reason = "no safe crate has this request")]
        let request = unsafe { Getter::<SIOCOUTQ, c_int>::new() };
        let socket = match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            #[cfg(any(test, fuzzing))]
            Self::Memory(_) => return 0,
        };
        // SAFETY: as above; the request reads or changes no other memory.
        #[expect(unsafe_code, reason = "no safe crate has this request")]
        let unsent = unsafe { ioctl(socket, request) };
        // A system that does not know: then all has been sent.
        unsent.ok().and_then(|unsent| u64::try_from(unsent).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn what_the_other_end_has_not_taken_is_known() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = Plain::Tcp(listener.accept().await.unwrap().0);
        assert_eq!(socket.unsent(), 0);
        // Far more than the two kernels' buffers hold.
        let (block, patience) = (vec![0; 65_536], Duration::from_millis(100));
        let mut written = 0;
        while let Ok(more) = timeout(patience, socket.write(&block)).await {
            written += more.unwrap() as u64;
        }
        let unsent = socket.unsent();
        assert!(unsent > 0 && unsent <= written, "{unsent} of {written}");
        let mut taken = vec![0; usize::try_from(written).unwrap()];
        client.read_exact(&mut taken).await.unwrap();
        // The last acknowledgement is on its way.
        while socket.unsent() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
