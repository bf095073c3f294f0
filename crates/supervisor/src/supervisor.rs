//! The parent: one loop over signals, control connections and time.

mod clients;
mod ends;
mod notices;
mod reloads;
mod times;
mod watchdog;
mod wishes;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use stack_listen::{BindError, SocketFile, Sockets};

use self::reloads::Haste;
use crate::{
    Program,
    command::Answer,
    control::Control,
    generation::{Generation, Purpose, State as GenerationState},
    message::{Begin, Changed, Order},
    notify::{Notify, Stage},
    oom::OutOfMemory,
    restarts::Restarts,
    signals::{Signals, Told},
};
use watchdog::Watchdog;
use wishes::Wishes;

/// What the parent is to know from the configuration of the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a server process is started from.
    pub program: Program,
    /// Where commands are taken; `None`: nowhere.
    pub control: Option<ControlPath>,
    /// How long a server may give no sign of life.
    pub watchdog: Option<Duration>,
}

/// The path of a control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPath {
    /// The path.
    pub path: PathBuf,
    /// Whether somebody has named it. Without a name that nobody has asked for the server is as good.
    pub is_named: bool,
}

/// What the parent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The first generation has not served yet. Its failure is the end.
    Starting,
    /// A generation serves.
    Serving,
    /// A generation serves and another one starts beside it.
    Reloading,
    /// None serves: the one that did has ended, and another one is being started, or will be after a pause.
    Restarting,
    /// All generations have been told to end.
    Stopping,
    /// None is left.
    Ended,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was told to, with the exit code of the last server.
    Stopped(u8),
    /// The server can not serve.
    Failed {
        /// Why, as it is to be printed.
        text: String,
        /// The exit code that goes with it.
        exit_code: u8,
    },
}

/// Why there is no parent.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The system gave no signals.
    #[error("signals can not be taken")]
    Signals(#[source] io::Error),
    /// The control socket can not be had.
    #[error("no control socket (control_socket)")]
    Control(#[source] BindError),
    /// It gave no events.
    #[error("events can not be waited for")]
    Poll(#[source] io::Error),
    /// The first server process was not started.
    #[error("the server process can not be started: {}", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// The parent of server processes.
#[derive(Debug)]
pub struct Supervisor {
    program: Program,
    state: State,
    signals: Signals,
    sockets: Sockets,
    /// Of Unix sockets, once they are closed here: they go with the last server.
    files: Vec<SocketFile>,
    /// The oldest first. Those that have ended are gone from here.
    generations: Vec<Generation>,
    last_number: u64,
    restarts: Restarts,
    restart_at: Option<Instant>,
    /// The number of workers, once somebody has asked for more or fewer.
    workers: Option<usize>,
    /// What the next generation is told of the one that has served last.
    learned: Option<serde_json::Value>,
    /// The files whose change has brought about the generation that starts.
    changed: Option<Changed>,
    haste: Haste,
    watchdog: Watchdog,
    /// How often a server was started in the place of one that gave no sign of life.
    unresponsive: u64,
    notify: Notify,
    next_ping: Option<Instant>,
    out_of_memory: OutOfMemory,
    control: Control,
    /// When those who wait for a server's report get an answer without it.
    report_at: Option<Instant>,
    /// What those are told who wait for a reload, once the server before accepts no more.
    taking_over: Option<TakingOver>,
    started_at: Instant,
    reloads: u64,
    failed_reloads: u64,
    /// Why the last one failed, if it did.
    reload_error: Option<String>,
    wishes: Wishes,
    /// Requests that servers had to cut off in the stop.
    cut_off: usize,
    /// Of the servers that were told to stop: the worst.
    exit_code: u8,
    outcome: Option<Outcome>,
}

/// A generation serves, and the one before may still accept connections.
#[derive(Debug)]
struct TakingOver {
    /// The number of the one before.
    from: u64,
    answer: Answer,
    /// Clients that came later wait for another reload.
    newest_client: u64,
    /// When it is told in any case.
    until: Instant,
}

/// Where something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Signals,
    /// By its number.
    Generation(u64),
    ControlSocket,
    /// By its number.
    Client(u64),
}

impl Supervisor {
    /// Takes the signals of this process, which must have one thread.
    pub fn new(settings: Settings) -> Result<Self, SupervisorError> {
        let Settings { program, control, watchdog } = settings;
        let control = control.as_ref().map(bind_control).transpose()?.unwrap_or_default();
        let notify = Notify::from_environment();
        Ok(Self {
            program,
            state: State::Starting,
            signals: Signals::take().map_err(SupervisorError::Signals)?,
            sockets: Sockets::default(),
            files: Vec::new(),
            generations: Vec::new(),
            last_number: 0,
            restarts: Restarts::default(),
            restart_at: None,
            workers: None,
            learned: None,
            changed: None,
            haste: Haste::default(),
            watchdog: Watchdog::new(watchdog),
            unresponsive: 0,
            next_ping: notify.interval().map(|interval| Instant::now() + interval),
            notify,
            out_of_memory: OutOfMemory::watch(),
            control,
            report_at: None,
            taking_over: None,
            started_at: Instant::now(),
            reloads: 0,
            failed_reloads: 0,
            reload_error: None,
            wishes: Wishes::default(),
            cut_off: 0,
            exit_code: 0,
            outcome: None,
        })
    }

    /// Runs until the last server process has ended.
    pub fn run(mut self) -> Result<Outcome, SupervisorError> {
        self.start(Purpose::First)
            .map_err(|source| SupervisorError::Spawn { path: self.program.path.clone(), source })?;
        loop {
            if let Some(outcome) = self.outcome.take() {
                self.enter(State::Ended);
                self.answer_at_end();
                return Ok(outcome);
            }
            for source in self.wait()? {
                match source {
                    Source::Signals => self.take_signals().map_err(SupervisorError::Signals)?,
                    Source::Generation(number) => self.hear(number),
                    Source::ControlSocket => self.control.accept(),
                    Source::Client(number) => self.take_command(number),
                }
            }
            self.keep_time();
        }
    }

    fn enter(&mut self, state: State) {
        if self.state != state {
            tracing::debug!(from = ?self.state, to = ?state, "supervisor");
            self.state = state;
        }
    }

    /// Waits until something happens, or it is time for something.
    fn wait(&self) -> Result<Vec<Source>, SupervisorError> {
        let connected = self.generations.iter().filter(|generation| generation.is_connected);
        // Signals come last: who sends one may have seen what a server has told before.
        let mut sources: Vec<_> = connected.clone().map(|generation| Source::Generation(generation.number)).collect();
        let mut polled: Vec<_> = connected.map(|generation| readable(&generation.channel)).collect();
        sources.extend(self.control.clients().map(|client| Source::Client(client.number)));
        polled.extend(self.control.clients().map(readable));
        if let Some(listener) = self.control.listener() {
            sources.push(Source::ControlSocket);
            polled.push(PollFd::from_borrowed_fd(listener, PollFlags::IN));
        }
        sources.push(Source::Signals);
        polled.push(readable(&self.signals));
        let timeout = self.next_time().map(|at| timespec(at.saturating_duration_since(Instant::now())));
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(SupervisorError::Poll(error.into())),
        }
        let ready = sources.into_iter().zip(&polled).filter(|(_, polled)| !polled.revents().is_empty());
        Ok(ready.map(|(source, _)| source).collect())
    }

    fn take_signals(&mut self) -> io::Result<()> {
        while let Some(told) = self.signals.next()? {
            match told {
                Told::ChildEnded => self.reap(),
                Told::Stop(name) => self.stop(name),
                Told::Quit => self.abort("SIGQUIT"),
                Told::Reload(name) => self.reload(name),
                Told::Workers(name, change) => self.change_workers(name, change),
                Told::ReopenLogs => self.generations.iter().for_each(|generation| generation.tell(&Order::ReopenLogs)),
            }
        }
        Ok(())
    }

    /// Starts a generation.
    fn start(&mut self, purpose: Purpose) -> io::Result<()> {
        let begin = Begin {
            generation: self.last_number + 1,
            restarts: self.restarts.total(),
            unresponsive: self.unresponsive,
            reloads: self.reloads + u64::from(purpose == Purpose::Reload),
            worn: self.wishes.granted + u64::from(purpose == Purpose::Renewal),
            takes_over: purpose.takes_over(),
            workers: self.workers,
            changed: self.changed.clone(),
            learned: self.learned.clone(),
        };
        let generation = Generation::start(&self.program, &begin, purpose)?;
        self.last_number = begin.generation;
        self.generations.push(generation);
        Ok(())
    }

    /// The same for one that is not the first. Where even the process can not be had, it counts as one that did not live.
    fn start_or_retry(&mut self, purpose: Purpose) {
        let Err(error) = self.start(purpose) else { return };
        let text = format!("the server process can not be started: {}: {error}", self.program.path.display());
        match purpose {
            Purpose::Reload | Purpose::Renewal => self.reload_failed(&text),
            Purpose::First | Purpose::Restart => self.restart(Duration::ZERO, &text),
        }
    }

    fn stop(&mut self, reason: &str) {
        if self.state == State::Stopping {
            return self.abort(reason);
        }
        self.enter(State::Stopping);
        self.notify.tell(Stage::Stopping, "stopping");
        self.restart_at = None;
        let order = Order::Stop { reason: reason.to_owned() };
        self.generations.iter_mut().for_each(|generation| generation.drain(&order));
        // The server closes them last, when it has taken what waits there.
        self.files = self.sockets.close();
        self.end_if_empty();
    }

    fn abort(&mut self, reason: &str) {
        self.enter(State::Stopping);
        self.notify.tell(Stage::Stopping, "stopping at once");
        self.restart_at = None;
        self.generations.iter_mut().for_each(|generation| generation.abort(reason));
        self.end_if_empty();
    }

    fn serving(&self) -> Option<&Generation> {
        self.generations.iter().rev().find(|generation| generation.state() == GenerationState::Serving)
    }
}

fn readable(descriptor: &impl AsFd) -> PollFd<'_> {
    let descriptor: BorrowedFd<'_> = descriptor.as_fd();
    PollFd::from_borrowed_fd(descriptor, PollFlags::IN)
}

fn bind_control(control: &ControlPath) -> Result<Control, SupervisorError> {
    match Control::bind(&control.path) {
        Err(error) if !control.is_named => {
            tracing::warn!(
                code = "STACK0710",
                path = %control.path.display(),
                reason = %error,
                "no control socket: stack status, reload and stop will not find this server; name one with control_socket"
            );
            Ok(Control::default())
        }
        outcome => outcome.map_err(SupervisorError::Control),
    }
}

fn timespec(duration: Duration) -> Timespec {
    // Rounded up: a little late is once, a little early is a loop.
    let duration = duration + Duration::from_millis(1);
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
