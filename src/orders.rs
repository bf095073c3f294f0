//! Who tells a server what to do: its parent, or signals where it has none.

use std::{fmt, time::SystemTime};

use anyhow::Context;
use stack_front::{Admin, ReopenLog};
use stack_supervisor::{
    message::{self, Begin, Notice},
    server,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::commands::serve::Development;

/// What a server is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Begin to accept.
    Serve,
    /// End.
    End(End),
}

/// How a server is told to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Finish what is in flight.
    Stop {
        /// What brought it about.
        reason: String,
    },
    /// At once.
    Abort {
        /// What brought it about.
        reason: String,
    },
    /// Another server accepts on the sockets: finish what is in flight.
    HandOver {
        /// The places of listeners that it has not.
        given_up: Vec<usize>,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stop { reason } | Self::Abort { reason } => f.write_str(reason),
            Self::HandOver { given_up: _ } => f.write_str("another generation has taken over"),
        }
    }
}

/// The parent, and what it has said so far.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) link: server::Link,
    pub(crate) orders: server::Orders,
    pub(crate) begin: Begin,
    /// When this process began: before it has read anything.
    pub(crate) since: SystemTime,
}

/// Orders as they come in.
pub(crate) enum Orders {
    /// Signals are orders.
    Alone(ServerSignals, Service),
    /// They are not, as long as there is a parent: it gets them as well where they are meant for all, from a terminal or from
    /// systemd.
    Supervised {
        link: server::Link,
        orders: mpsc::UnboundedReceiver<message::Order>,
        signals: ServerSignals,
        service: Service,
    },
}

/// What a server does on the side, whatever else it is doing.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// Knows how the server is.
    pub(crate) admin: Admin,
    pub(crate) log: Option<ReopenLog>,
    /// Who wants to know of a reload that has failed.
    pub(crate) development: Development,
}

impl Orders {
    /// To be called within a runtime.
    pub(crate) fn alone(service: Service) -> anyhow::Result<Self> {
        Ok(Self::Alone(ServerSignals::new()?, service))
    }

    /// To be called within a runtime.
    pub(crate) fn of_parent(link: server::Link, orders: server::Orders, service: Service) -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut sender = Some(sender);
        let take = move |order: Option<message::Order>| match (order, &sender) {
            (Some(order), Some(to)) => {
                let _ = to.send(order);
            }
            // Who waits for orders sees the end.
            (None, _) => sender = None,
            (Some(_), None) => {}
        };
        orders.follow(take).context("no thread for the supervisor's orders")?;
        Ok(Self::Supervised { link, orders: receiver, signals: ServerSignals::new()?, service })
    }

    /// Waits for the next one. It may be dropped at any point.
    pub(crate) async fn next(&mut self) -> Order {
        match self {
            Self::Alone(signals, service) => loop {
                match signals.next().await {
                    "SIGUSR1" => service.reopen_log(),
                    name => return Order::End(End::Stop { reason: name.to_owned() }),
                }
            },
            Self::Supervised { link, orders, signals, service } => loop {
                let order = tokio::select! {
                    biased;
                    order = orders.recv() => order,
                    signal = signals.next() => {
                        tracing::debug!(signal, "left to the supervisor");
                        continue;
                    }
                };
                match order {
                    None => {
                        tracing::warn!(code = "STACK0708", "the supervisor is gone: this server stops");
                        let reason = "the supervisor is gone".to_owned();
                        // From now on signals are for this process.
                        if let Ok(signals) = ServerSignals::new() {
                            *self = Self::Alone(signals, service.clone());
                        }
                        return Order::End(End::Stop { reason });
                    }
                    Some(order) => {
                        if let Some(order) = service.obey(link, order) {
                            return order;
                        }
                    }
                }
            },
        }
    }

    /// Waits for the word to serve; gives the reason if there will be none.
    pub(crate) async fn until_serve(&mut self) -> Option<String> {
        match self.next().await {
            Order::Serve => None,
            Order::End(end) => Some(end.to_string()),
        }
    }

    /// Waits for one that ends the server.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            if let Order::End(end) = self.next().await {
                return end;
            }
        }
    }
}

impl Service {
    fn reopen_log(&self) {
        if let Some(log) = &self.log {
            tracing::info!("the access log is opened again");
            log.reopen();
        }
    }

    /// Does what can be done at once; gives what is for others to do.
    fn obey(&self, link: &server::Link, order: message::Order) -> Option<Order> {
        match order {
            message::Order::Stop { reason } => return Some(Order::End(End::Stop { reason })),
            message::Order::Abort { reason } => return Some(Order::End(End::Abort { reason })),
            message::Order::HandOver { given_up } => return Some(Order::End(End::HandOver { given_up })),
            message::Order::Serve => return Some(Order::Serve),
            // By a thread of the front: that this one turns means little.
            message::Order::Ping => drop(tokio::spawn({
                let link = link.clone();
                async move { link.tell(&Notice::Pong) }
            })),
            message::Order::Report => link.tell(&Notice::Report(self.admin.report())),
            message::Order::ReopenLogs => self.reopen_log(),
            message::Order::ReloadFailed { reason } => self.development.reload_failed(&reason),
            message::Order::Begin(_) | message::Order::Listening { .. } | message::Order::NotListening { .. } => {}
        }
        None
    }
}

/// The signals that a server without a parent acts on.
pub(crate) struct ServerSignals {
    terminate: Signal,
    interrupt: Signal,
    reopen_logs: Signal,
}

impl ServerSignals {
    fn new() -> anyhow::Result<Self> {
        let watch = |kind| signal(kind).context("a signal can not be watched");
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            reopen_logs: watch(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.reopen_logs.recv() => "SIGUSR1",
        }
    }
}

/// Has signals that are the parent's to act on do nothing here, and lets this process have its signals. It is for the time
/// before there are threads: they, and what they start, have the signals that this one has.
pub(crate) fn ignore_signals() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let ignored = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::hangup(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        // What handles them stays in place when this runtime is gone, and nobody listens.
        ignored.into_iter().try_for_each(|kind| signal(kind).map(drop))
    })?;
    Ok(server::unblock_signals()?)
}
