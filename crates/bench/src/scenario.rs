//! What is measured: an application or a file, what asks for it, and what is looked at.

mod table;

pub(crate) use table::{all, scaling};

/// One row of the benchmark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// For `--scenario`, and for the names of files.
    pub(crate) name: String,
    /// In a sentence's words, for headings.
    pub(crate) title: String,
    /// What answers.
    pub(crate) target: Target,
    pub(crate) protocol: Protocol,
    pub(crate) kind: Kind,
    /// Workers of each server, where it is not what was asked for.
    pub(crate) workers: Option<usize>,
    /// Where it is a point of a curve.
    pub(crate) point: Option<Point>,
    /// Whether `--quick` has it.
    pub(crate) is_quick: bool,
}

/// What a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An application, as MODULE:CALLABLE in the folder of the applications; the path is `/`.
    Application(&'static str),
    /// An application that gets a POST with [`crate::site::ECHO_SIZE`] bytes.
    Echo(&'static str),
    /// A file below `/files`.
    File(&'static str),
}

impl Target {
    /// The path of a request.
    pub(crate) fn path(self) -> String {
        match self {
            Self::Application(_) | Self::Echo(_) => "/".to_owned(),
            Self::File(name) => format!("/files/{name}"),
        }
    }

    /// Whether every server gives the same answer to it.
    pub(crate) fn is_hello(self) -> bool {
        matches!(self, Self::Application(table::HELLO))
    }

    /// The application that a server has to run. For files it is the smallest one.
    pub(crate) fn application(self) -> &'static str {
        match self {
            Self::Application(name) | Self::Echo(name) => name,
            Self::File(_) => table::HELLO,
        }
    }
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1 over TCP.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    Http2,
}

impl Protocol {
    pub(crate) fn is_tls(self) -> bool {
        self != Self::Http
    }
}

/// What is done and looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As many requests as the server answers, over so many connections that are kept.
    Load { connections: usize },
    /// A new connection for each request, by so many clients.
    NewConnections { clients: usize },
    /// So many connections that have had an answer each and ask for nothing more.
    Idle { connections: usize },
    /// Some connections ask for as much as they get while so many clients send a byte of their head now and then.
    SlowClients { clients: usize, connections: usize },
    /// From the start to the first answer.
    StartUp,
    /// With one worker and with so many more, after some requests.
    Memory { more: usize },
}

impl Kind {
    /// The connections that a server has to take at a time.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Load { connections } | Self::Idle { connections } => connections,
            Self::NewConnections { clients } => clients,
            Self::SlowClients { clients, connections } => clients + connections,
            Self::StartUp | Self::Memory { .. } => 16,
        }
    }
}

/// The place of a scenario on a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) curve: Curve,
    pub(crate) at: usize,
}

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Curve {
    Connections,
    Workers,
}

impl Curve {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Workers => "workers",
        }
    }
}
