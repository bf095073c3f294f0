//! For how long Python's main thread waits for a job before it looks for signals.
//!
//! A signal ends the wait it comes into, but not one that was just about to begin: its handler runs when the thread looks by
//! itself. Signals come with work more than without, and a worker that looked each second would never sleep for longer: so
//! each wait that ends with nothing is followed by one twice as long.

use std::{io, os::unix::net::UnixStream, time::Duration};

const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(16);

/// The time after which a wait on one lane ends, which its socket knows too.
#[derive(Debug)]
pub(super) struct Patience(Duration);

impl Patience {
    /// From now on waits on this socket end.
    pub(super) fn begin(socket: &UnixStream) -> io::Result<Self> {
        socket.set_read_timeout(Some(LEAST))?;
        Ok(Self(LEAST))
    }

    /// A wait has ended with nothing.
    pub(super) fn grow(&mut self, socket: &UnixStream) -> io::Result<()> {
        self.set((self.0 * 2).min(MOST), socket)
    }

    /// There was something to do.
    pub(super) fn reset(&mut self, socket: &UnixStream) -> io::Result<()> {
        self.set(LEAST, socket)
    }

    fn set(&mut self, time: Duration, socket: &UnixStream) -> io::Result<()> {
        if self.0 != time {
            socket.set_read_timeout(Some(time))?;
            self.0 = time;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_thread_looks_less_and_less_often_and_a_busy_one_each_second() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let seconds = || socket.read_timeout().unwrap().unwrap().as_secs();
        let mut patience = Patience::begin(&socket).unwrap();
        assert_eq!(seconds(), 1);
        let mut idle = || {
            patience.grow(&socket).unwrap();
            seconds()
        };
        assert_eq!([idle(), idle(), idle(), idle(), idle(), idle()], [2, 4, 8, 16, 16, 16]);
        patience.reset(&socket).unwrap();
        assert_eq!(seconds(), 1);
    }
}
