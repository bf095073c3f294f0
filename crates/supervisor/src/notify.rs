//! What systemd is told (`sd_notify`), and how often it wants to hear that all is well.

use std::{
    env,
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// The service manager, if there is one that listens.
#[derive(Debug)]
pub(crate) struct Notify {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Ready,
    Reloading,
    Stopping,
    Alive,
}

impl Notify {
    /// From the variables that a service manager sets.
    pub(crate) fn from_environment() -> Self {
        let watchdog = watchdog(env::var("WATCHDOG_USEC").ok(), env::var("WATCHDOG_PID").ok(), std::process::id());
        Self::new(env::var_os("NOTIFY_SOCKET"), watchdog)
    }

    fn new(socket: Option<OsString>, watchdog: Option<Duration>) -> Self {
        let manager = socket.and_then(|name| match connect(&name) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!(code = "STACK0707", socket = ?name, %error, "the service manager can not be told anything");
                None
            }
        });
        Self { watchdog: watchdog.filter(|_| manager.is_some()), manager }
    }

    /// How often it is to hear that all is well: twice as often as it looks.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|watchdog| watchdog / 2)
    }

    /// Tells the stage, and a line for people.
    pub(crate) fn tell(&self, stage: Stage, status: &str) {
        let Some((socket, address)) = &self.manager else { return };
        let mut text = match stage {
            Stage::Ready => "READY=1".to_owned(),
            // systemd 253 and newer want to know when it began (`Type=notify-reload`).
            Stage::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()),
            Stage::Stopping => "STOPPING=1".to_owned(),
            Stage::Alive => "WATCHDOG=1".to_owned(),
        };
        if !status.is_empty() {
            text = format!("{text}\nSTATUS={}", status.lines().next().unwrap_or_default());
        }
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::debug!(%error, ?stage, "the service manager does not listen");
        }
    }
}

fn connect(name: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn watchdog(usec: Option<String>, pid: Option<String>, our_pid: u32) -> Option<Duration> {
    // It may be meant for a parent.
    if pid.is_some_and(|pid| pid.parse() != Ok(our_pid)) {
        return None;
    }
    let usec: u64 = usec?.parse().ok().filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec))
}

fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_path_and_an_abstract_name_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        Notify::new(Some(path.into()), None).tell(Stage::Ready, "one\ntwo");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=one");

        let name = format!("stack-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notify = Notify::new(Some(format!("@{name}").into()), Some(Duration::from_secs(2)));
        assert_eq!(notify.interval(), Some(Duration::from_secs(1)));
        notify.tell(Stage::Reloading, "");
        let text = heard(&manager);
        let (_, usec) = text.split_once("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(usec.parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn without_a_manager_there_is_no_watchdog() {
        let notify = Notify::new(None, Some(Duration::from_secs(2)));
        assert_eq!(notify.interval(), None);
        notify.tell(Stage::Alive, "");
    }

    #[test]
    fn a_watchdog_is_for_one_process() {
        let second = Some("1000000".to_owned());
        assert_eq!(watchdog(second.clone(), None, 7), Some(Duration::from_secs(1)));
        assert_eq!(watchdog(second.clone(), Some("7".to_owned()), 7), Some(Duration::from_secs(1)));
        assert_eq!(watchdog(second, Some("8".to_owned()), 7), None);
        assert_eq!(watchdog(Some("0".to_owned()), None, 7), None);
    }
}
