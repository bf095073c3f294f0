//! Holds an application at a known point: it connects to the gate and waits there until it is let go.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use super::eventually;

/// Where applications stop, by way of `tests/apps/wsgi/gate.py`.
pub(crate) struct Gate {
    listener: TcpListener,
}

/// One application that waits. Dropping it lets the application go on.
pub(crate) struct Held {
    stream: TcpStream,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listening socket");
        Self { listener }
    }

    /// A target whose application stops at this gate.
    pub(crate) fn target(&self, path: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{path}{separator}gate={}", self.port())
    }

    /// Where an application connects to.
    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().expect("a listening socket").port()
    }

    /// Waits until an application stands at the gate.
    pub(crate) fn entered(&self) -> Held {
        eventually("an application at the gate", || self.try_entered())
    }

    /// An application that stands at the gate by now.
    pub(crate) fn try_entered(&self) -> Option<Held> {
        match self.listener.accept() {
            Ok((stream, _)) => Some(Held { stream }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("the gate is broken: {error}"),
        }
    }
}

impl Held {
    /// Lets the application go on.
    pub(crate) fn release(mut self) {
        // Nobody is left to read this where the application's thread has been ended.
        let _ = self.stream.write_all(b"g");
    }
}
