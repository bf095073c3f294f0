//! One server process, from its start to its end.

use std::{
    io,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use stack_listen::SocketId;

use crate::{
    Program,
    channel::Channel,
    message::{Begin, Facts, Order},
};

/// How long a process may live on that was told to end at once, or has closed its control connection.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// What a generation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The process reads its configuration, imports the application and starts workers.
    Starting,
    /// All that is there. It has been told to accept connections.
    Ready,
    /// It accepts connections. There is at most one, but for the moment between a take-over and its drain.
    Serving,
    /// It accepts no more, and finishes what is in flight.
    Draining,
    /// The process is gone, and has been waited for.
    Ended,
}

/// Why a generation was started, which says what its failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The first one: without it there is no server.
    First,
    /// In the place of one that serves: that one goes on.
    Reload,
    /// The same, because that one is worn.
    Renewal,
    /// In the place of one that has ended: it is tried again.
    Restart,
}

/// Why a generation was not left to end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedFor {
    /// A reload was asked for while it started: it is followed by another one.
    Reload,
    /// It gave no sign of life.
    Silence,
    /// Its time was cut short.
    Haste,
}

impl Purpose {
    /// Whether another one serves meanwhile.
    pub(crate) fn takes_over(self) -> bool {
        matches!(self, Self::Reload | Self::Renewal)
    }
}

/// What a server says that wants another one in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) reason: String,
    /// It does not wait for the one before to be gone.
    pub(crate) is_urgent: bool,
}

/// Why a server could not serve, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) text: String,
    pub(crate) exit_code: u8,
}

#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) pid: Pid,
    pub(crate) purpose: Purpose,
    state: State,
    pub(crate) channel: Channel,
    /// The other side of the channel is open.
    pub(crate) is_connected: bool,
    /// The sockets that it has been given.
    pub(crate) sockets: Vec<SocketId>,
    pub(crate) facts: Facts,
    /// The files whose change has brought it about: somebody waits for it, and wants to read no more than that it is there.
    pub(crate) changed: Option<String>,
    /// The one that has taken its place is there because of such a change: its end is no news.
    pub(crate) ends_quietly: bool,
    pub(crate) failure: Option<Failure>,
    /// Why it was told to end at once, or killed, if it was.
    ended_for: Option<EndedFor>,
    /// Why it wants another one in its place, if it does.
    pub(crate) wish: Option<Wish>,
    /// Requests that it had to cut off.
    pub(crate) cut_off: Option<usize>,
    pub(crate) started_at: Instant,
    /// When it was seen accepting connections.
    pub(crate) serving_since: Option<Instant>,
    /// How often it was asked for a sign of life since it last gave one.
    pub(crate) unanswered: u32,
    /// When it last gave a sign of life that it was asked for.
    pub(crate) answered_at: Option<Instant>,
    /// When it is to be gone at the latest.
    pub(crate) killed_at: Option<Instant>,
}

impl Generation {
    pub(crate) fn start(program: &Program, begin: &Begin, purpose: Purpose) -> io::Result<Self> {
        let (channel, far) = Channel::pair()?;
        // It is there before the process is, and waits for it.
        channel.send(&Order::Begin(begin.clone()), &[], false)?;
        let pid = program.spawn(far)?;
        let generation = Self {
            number: begin.generation,
            changed: begin.changed.as_ref().filter(|_| begin.takes_over).map(|changed| changed.names.clone()),
            pid,
            purpose,
            state: State::Starting,
            channel,
            is_connected: true,
            sockets: Vec::new(),
            facts: Facts::default(),
            ends_quietly: false,
            failure: None,
            ended_for: None,
            wish: None,
            cut_off: None,
            started_at: Instant::now(),
            serving_since: None,
            unanswered: 0,
            answered_at: None,
            killed_at: None,
        };
        generation.log();
        Ok(generation)
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn enter(&mut self, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        if state == State::Serving {
            self.serving_since = Some(Instant::now());
            self.unanswered = 0;
        }
        self.log();
    }

    fn log(&self) {
        tracing::debug!(generation = self.number, pid = self.pid.as_raw_nonzero(), state = ?self.state, "generation");
    }

    /// When it has served for so many times as long as it took to start.
    pub(crate) fn served_times(&self, times: u32) -> Option<Instant> {
        let since = self.serving_since?;
        Some(since + since.saturating_duration_since(self.started_at) * times)
    }

    /// Whether it finishes what it has, and has the time for it.
    pub(crate) fn drains(&self) -> bool {
        self.state == State::Draining && self.ended_for.is_none()
    }

    /// Whether a reload was asked for while it started.
    pub(crate) fn is_superseded(&self) -> bool {
        self.ended_for == Some(EndedFor::Reload)
    }

    /// Whether it was ended because it gave no sign of life.
    pub(crate) fn is_unresponsive(&self) -> bool {
        self.ended_for == Some(EndedFor::Silence)
    }

    /// Ends one that starts, so that another one can.
    pub(crate) fn supersede(&mut self) {
        self.ended_for = Some(EndedFor::Reload);
        self.kill();
    }

    /// Whether it has yet to serve.
    pub(crate) fn is_candidate(&self) -> bool {
        matches!(self.state, State::Starting | State::Ready)
    }

    /// It has given a sign of life.
    pub(crate) fn lives(&mut self) {
        self.answered_at = Some(Instant::now());
        self.unanswered = 0;
    }

    /// Tells it something. What a process that is gone or stuck does not hear is seen by its end.
    pub(crate) fn tell(&self, order: &Order) {
        self.tell_with(order, &[]);
    }

    pub(crate) fn tell_with(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) {
        if let Err(error) = self.channel.send(order, descriptors, false) {
            tracing::debug!(generation = self.number, ?order, %error, "a server was not told");
        }
    }

    /// Tells it to finish what it has, unless it has been told.
    pub(crate) fn drain(&mut self, order: &Order) {
        if self.state == State::Draining {
            return;
        }
        self.tell(order);
        self.be_gone_in(Duration::from_millis(self.facts.drain_ms) + LAST_MOMENTS);
        self.enter(State::Draining);
    }

    /// Tells it to end at once.
    pub(crate) fn abort(&mut self, reason: &str) {
        self.ended_for.get_or_insert(EndedFor::Haste);
        self.tell(&Order::Abort { reason: reason.to_owned() });
        self.be_gone_in(LAST_MOMENTS);
    }

    /// The other side of the channel is closed, which happens with the end of the process, or is its end.
    pub(crate) fn disconnected(&mut self) {
        self.is_connected = false;
        self.be_gone_in(LAST_MOMENTS);
    }

    /// Ends one that gives no sign of life, by a signal after which it is killed.
    pub(crate) fn end_unresponsive(&mut self, signal: Signal) {
        self.ended_for.get_or_insert(EndedFor::Silence);
        let _ = kill_process(self.pid, signal);
        self.be_gone_in(LAST_MOMENTS);
    }

    fn be_gone_in(&mut self, time: Duration) {
        let until = Instant::now() + time;
        self.killed_at = Some(self.killed_at.map_or(until, |before| before.min(until)));
    }

    /// Ends a process that has had its time; says which one that was.
    pub(crate) fn kill_if_due(&mut self, now: Instant) -> Option<Pid> {
        self.killed_at.take_if(|at| *at <= now)?;
        tracing::warn!(
            code = "STACK0705",
            generation = self.number,
            pid = self.pid.as_raw_nonzero(),
            "a server process did not end in time and is killed"
        );
        self.kill();
        Some(self.pid)
    }

    /// It has not been waited for, so its pid is no other process's.
    pub(crate) fn kill(&self) {
        let _ = kill_process(self.pid, Signal::KILL);
    }
}
