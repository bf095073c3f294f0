//! One worker, as the watch sees it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use stack_bridge::WorkerId;
use stack_interp::{InterpreterHandle, Interruption};

use super::{
    Overseer, Shared, WatchSettings,
    attendant::{Attendant, Report},
    slot::{About, Progress, Run, Seen, Serial, SharedSlot},
    tell,
};

/// How long a thread with a job may wait for its interpreter before somebody looks why.
const ENTER_TIME: Duration = Duration::from_secs(1);
/// How long an attendant may be away before its worker counts as stalled. Where threads compute in Python each lets go of the
/// GIL after 5 ms.
const ATTEND_TIME: Duration = Duration::from_millis(500);
/// How often clients are looked after.
const CLIENT_TIME: Duration = Duration::from_millis(250);

/// One worker.
pub(super) struct Post {
    key: u64,
    worker: WorkerId,
    interpreter: InterpreterHandle,
    slots: Vec<SharedSlot>,
    overseer: Arc<dyn Overseer>,
    attendant: Option<Attendant>,
    /// When the attendant was sent, and what for, as far as it has not been told without it.
    away: Option<(Instant, Vec<News>)>,
    /// What to send it for next.
    news: Vec<News>,
    stalled: bool,
}

/// Something to be told, as soon as it is known where the thread is.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub(super) kind: Kind,
    pub(super) slot: usize,
    /// The request; none where it is about the interpreter.
    pub(super) serial: Option<Serial>,
    pub(super) about: Option<(About, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether the interpreter can be entered.
    Presence,
    Slow,
    /// Interrupted, because its response has begun and does not go on.
    Paused,
    Interrupted(Interruption),
    GivenUp,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("worker", &self.worker).field("stalled", &self.stalled).finish_non_exhaustive()
    }
}

/// When a request that begins now is to be looked after first.
pub(super) fn first_look(now: Instant, deadline: Option<Instant>, settings: &WatchSettings) -> Instant {
    let slow = settings.slow.map(|slow| now + slow);
    let client = settings.interrupt_on_disconnect.then_some(now + CLIENT_TIME);
    [deadline, slow, client].into_iter().flatten().fold(now + ENTER_TIME, Instant::min)
}

impl Post {
    pub(super) fn new(
        key: u64,
        worker: WorkerId,
        interpreter: InterpreterHandle,
        slots: Vec<SharedSlot>,
        overseer: Arc<dyn Overseer>,
    ) -> Self {
        let (attendant, away, news) = (None, None, Vec::new());
        Self { key, worker, interpreter, slots, overseer, attendant, away, news, stalled: false }
    }

    pub(super) fn key(&self) -> u64 {
        self.key
    }

    /// The attendant is back.
    pub(super) fn take_report(&mut self, report: Report) {
        let untold = self.away.take().map(|(_, news)| news).unwrap_or_default();
        if std::mem::replace(&mut self.stalled, false) {
            tell::recovered(self.worker);
            self.overseer.recovered();
        }
        for (news, stack) in report.news {
            // What was told while it was away is not told again; and what has ended meanwhile needs no telling.
            if let Some(stack) = stack
                && untold.iter().any(|untold| (untold.kind, untold.serial) == (news.kind, news.serial))
            {
                tell::news(self.worker, &news, &stack);
            }
        }
    }

    /// Does what is due; says when there is something again.
    pub(super) fn tend(&mut self, now: Instant, settings: &WatchSettings, watch: &Arc<Shared>) -> Option<Instant> {
        if let Some((since, _)) = &self.away
            && now.saturating_duration_since(*since) >= ATTEND_TIME
            && !std::mem::replace(&mut self.stalled, true)
        {
            tell::stalled(self.worker);
            self.overseer.stalled();
        }
        let mut due = Due(None);
        for slot in 0..self.slots.len() {
            self.look_at(slot, now, settings, &mut due);
        }
        if self.stalled {
            self.tell_from_outside();
        } else if let Some((since, _)) = &self.away {
            due.at(*since + ATTEND_TIME);
        } else if !self.news.is_empty() {
            due.at(now + ATTEND_TIME);
            self.send(now, watch);
        }
        due.0
    }

    fn look_at(&mut self, slot: usize, now: Instant, settings: &WatchSettings, due: &mut Due) {
        match self.slots[slot].look() {
            Seen::Idle => {}
            Seen::Entering(since) => {
                let late = since + ENTER_TIME;
                if now < late {
                    due.at(late);
                } else if self.stalled {
                    if let Some(job) = self.slots[slot].take_away() {
                        self.overseer.give_back(job);
                    }
                } else {
                    let presence = News { kind: Kind::Presence, slot, serial: None, about: None };
                    if self.away.is_none() {
                        self.news.push(presence);
                    }
                    // Where it is only slow: the attendant has been there, and the thread is still not.
                    due.at(now + ENTER_TIME);
                }
            }
            Seen::Running { serial, mut run, progress } => {
                let kinds = decide(&mut run, progress, now, settings, due);
                if kinds.is_empty() {
                    return;
                }
                let (interruption, told) = (run.interruption, run.told);
                self.slots[slot].note(serial, |run| (run.interruption, run.told) = (interruption, told));
                if kinds.contains(&Kind::GivenUp) {
                    Arc::clone(&self.overseer).given_up();
                }
                let about = Some((run.about.clone(), run.since));
                let news = |kind| News { kind, slot, serial: Some(serial), about: about.clone() };
                self.news.extend(kinds.into_iter().map(news));
            }
        }
    }

    fn send(&mut self, now: Instant, watch: &Arc<Shared>) {
        if self.attendant.is_none() {
            let name = format!("attend-{}", self.worker.0);
            let started = Attendant::start(name, self.key, self.interpreter.clone(), self.slots.clone(), watch);
            match started {
                Ok(attendant) => self.attendant = Some(attendant),
                Err(error) => {
                    tell::no_attendant(self.worker, &error);
                    return self.tell_from_outside();
                }
            }
        }
        if let Some(attendant) = &self.attendant {
            let news = std::mem::take(&mut self.news);
            attendant.send(news.clone());
            self.away = Some((now, news));
        }
    }

    /// Tells what can be told of threads whose interpreter can not be entered.
    fn tell_from_outside(&mut self) {
        let sent = self.away.as_mut().map(|(_, news)| std::mem::take(news)).unwrap_or_default();
        for news in sent.into_iter().chain(std::mem::take(&mut self.news)) {
            let thread = news.serial.and_then(|serial| self.slots[news.slot].thread(serial));
            if let Some(thread) = thread {
                tell::news(self.worker, &news, &thread.outside_stack());
            }
        }
    }
}

/// The earliest of several instants.
struct Due(Option<Instant>);

impl Due {
    fn at(&mut self, instant: Instant) {
        self.0 = Some(self.0.map_or(instant, |due| due.min(instant)));
    }
}

/// What is due of a request now, and when something is again. What was decided is noted in `run`.
fn decide(run: &mut Run, progress: Progress, now: Instant, settings: &WatchSettings, due: &mut Due) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if run.interruption.is_none() && !run.sealed {
        let deadline = match (progress, settings.pause) {
            (Progress::Nothing, _) => run.deadline,
            // Once the response has begun it may last, as long as it goes on.
            (Progress::Open(last), Some(pause)) => Some(last + pause),
            // Who waits for its client does not hang. Nobody rings when it goes on.
            (Progress::Sending, Some(pause)) => Some(now + pause),
            (Progress::Complete, _) | (_, None) => None,
        };
        if let Some(deadline) = deadline {
            if now >= deadline {
                run.interruption = Some((Interruption::RequestTimeout, now));
            } else {
                due.at(deadline);
            }
        }
        if settings.interrupt_on_disconnect && run.interruption.is_none() {
            if run.is_client_gone() {
                run.interruption = Some((Interruption::ClientGone, now));
            } else {
                due.at(now + CLIENT_TIME);
            }
        }
    }
    if let Some((interruption, at)) = run.interruption {
        if !std::mem::replace(&mut run.told.interrupted, true) {
            let has_begun = progress != Progress::Nothing;
            let is_paused = has_begun && interruption == Interruption::RequestTimeout;
            kinds.push(if is_paused { Kind::Paused } else { Kind::Interrupted(interruption) });
        }
        if !run.told.given_up {
            let end = at + settings.kill;
            if now >= end {
                run.told.given_up = true;
                kinds.push(Kind::GivenUp);
            } else {
                due.at(end);
            }
        }
    } else if let Some(slow) = settings.slow.filter(|_| !run.told.slow) {
        let slow = run.since + slow;
        if now >= slow {
            run.told.slow = true;
            kinds.push(Kind::Slow);
        } else {
            due.at(slow);
        }
    }
    kinds
}
