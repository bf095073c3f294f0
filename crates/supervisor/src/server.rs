//! What a server process needs of its parent.

use std::{
    io,
    os::fd::{OwnedFd, RawFd},
    sync::Arc,
    thread,
};

use stack_config::Bind;
use stack_listen::{Bound, ListenSocket, inherited};

use crate::{
    channel::{Channel, Received},
    message::{Begin, Notice, Order, shortened},
    signals,
};

/// Why a server process has no parent, or no sockets.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It was not started by one.
    #[error("this is a part of `stack serve`, which starts it by itself")]
    NoParent,
    /// The parent is gone.
    #[error("the supervisor is gone")]
    Gone,
    /// The control connection does not work.
    #[error("the connection to the supervisor is broken")]
    Io(#[from] io::Error),
    /// The sockets can not be had.
    #[error("{0}")]
    NotListening(String),
}

/// The connection to the parent. Clones are the same connection.
#[derive(Clone, Debug)]
pub struct Link {
    channel: Arc<Channel>,
}

/// What the parent has said, until somebody listens.
#[derive(Debug)]
pub struct Orders {
    channel: Arc<Channel>,
    /// Came while something else was waited for.
    early: Vec<Order>,
}

/// Meets the parent, whose control connection this process has open under a number.
pub fn connect(descriptor: RawFd) -> Result<(Link, Orders, Begin), LinkError> {
    let descriptor = inherited(descriptor).ok_or(LinkError::NoParent)?;
    // Nobody else is to have it: its end is how the parent sees the end of this process.
    rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC).map_err(io::Error::from)?;
    meet(descriptor)
}

fn meet(descriptor: OwnedFd) -> Result<(Link, Orders, Begin), LinkError> {
    let channel = Arc::new(Channel::new(descriptor));
    let mut orders = Orders { channel: Arc::clone(&channel), early: Vec::new() };
    let begin = orders.wait_for(|order| match order {
        Order::Begin(begin) => Ok(begin.clone()),
        _ => Err(()),
    })?;
    Ok((Link { channel }, orders, begin.0))
}

/// Lets this process have its signals: the parent has kept them from it until it would know what to do with them.
pub fn unblock_signals() -> io::Result<()> {
    signals::unblock()
}

impl Link {
    /// Tells the parent something. That a parent is gone shows elsewhere.
    pub fn tell(&self, notice: &Notice) {
        if let Err(error) = self.channel.send(notice, &[], true) {
            tracing::debug!(%error, "the supervisor was not told");
        }
    }

    /// Tells the parent why this server can not serve; whether it has heard it.
    pub fn failed(&self, text: &str, exit_code: u8) -> bool {
        self.channel.send(&Notice::Failed { text: shortened(text), exit_code }, &[], true).is_ok()
    }
}

impl Orders {
    /// Asks for the sockets of these addresses, and waits for them.
    pub fn listen(&mut self, binds: &[Bind], backlog: u32) -> Result<Vec<Vec<Bound>>, LinkError> {
        self.channel.send(&Notice::Listen { binds: binds.to_vec(), backlog }, &[], true)?;
        let (answer, descriptors) = self.wait_for(|order| match order {
            Order::Listening { groups } => Ok(Ok(groups.clone())),
            Order::NotListening { reason } => Ok(Err(reason.clone())),
            _ => Err(()),
        })?;
        let groups = answer.map_err(LinkError::NotListening)?;
        let mut sockets = descriptors.into_iter().map(|descriptor| {
            let adopted = ListenSocket::adopt(descriptor);
            adopted.map(|socket| Bound { socket, file: None }).map_err(|(reason, _)| io::Error::other(reason))
        });
        let group = |length| sockets.by_ref().take(length).collect::<Result<Vec<_>, _>>();
        Ok(groups.into_iter().map(group).collect::<Result<_, _>>()?)
    }

    /// Hands all further orders to `take`, on a thread of its own; `None` is the end of the parent.
    pub fn follow(self, mut take: impl FnMut(Option<Order>) + Send + 'static) -> io::Result<()> {
        let Self { channel, early } = self;
        let follow = move || {
            for order in early {
                take(Some(order));
            }
            loop {
                match channel.receive(true) {
                    Ok(Received::Message(order, _)) => take(Some(order)),
                    Ok(Received::Unknown(text)) => tracing::debug!(text, "an unknown order"),
                    Ok(Received::Nothing) => {}
                    Ok(Received::End) | Err(_) => return take(None),
                }
            }
        };
        thread::Builder::new().name("supervisor".into()).spawn(follow)?;
        Ok(())
    }

    fn wait_for<T>(&mut self, wanted: impl Fn(&Order) -> Result<T, ()>) -> Result<(T, Vec<OwnedFd>), LinkError> {
        loop {
            match self.channel.receive(true)? {
                Received::Message(order, descriptors) => match wanted(&order) {
                    Ok(found) => return Ok((found, descriptors)),
                    Err(()) => self.early.push(order),
                },
                Received::Unknown(text) => tracing::debug!(text, "an unknown order"),
                Received::Nothing => {}
                Received::End => return Err(LinkError::Gone),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsFd, sync::mpsc};

    use super::*;

    #[test]
    fn orders_that_come_while_sockets_are_waited_for_are_kept() {
        let (parent, far) = Channel::pair().unwrap();
        parent.send(&Order::Begin(Begin { generation: 4, ..Begin::default() }), &[], true).unwrap();
        let (_link, mut orders, begin) = meet(far).unwrap();
        assert_eq!(begin.generation, 4);

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        parent.send(&Order::Stop { reason: "SIGTERM".into() }, &[], true).unwrap();
        let answer = Order::Listening { groups: vec![0, 1] };
        parent.send(&answer, &[listener.as_fd()], true).unwrap();
        let groups = orders.listen(&[], 16).unwrap();
        assert!(groups[0].is_empty());
        assert_eq!(groups[1][0].socket.tcp_address(), listener.local_addr().ok());

        let (sender, heard) = mpsc::channel();
        orders.follow(move |order| sender.send(order).unwrap()).unwrap();
        assert_eq!(heard.recv().unwrap(), Some(Order::Stop { reason: "SIGTERM".into() }));
        drop(parent);
        assert_eq!(heard.recv().unwrap(), None);
    }

    #[test]
    fn a_refusal_comes_with_its_reason() {
        let (parent, far) = Channel::pair().unwrap();
        parent.send(&Order::Begin(Begin::default()), &[], true).unwrap();
        let (_link, mut orders, _) = meet(far).unwrap();
        parent.send(&Order::NotListening { reason: "127.0.0.1:80 is in use".into() }, &[], true).unwrap();
        assert_eq!(orders.listen(&[], 16).unwrap_err().to_string(), "127.0.0.1:80 is in use");
        drop(parent);
        assert!(matches!(orders.listen(&[], 16), Err(LinkError::Gone | LinkError::Io(_))));
    }
}
