//! What servers say.

use std::{
    error::Error,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use stack_config::Bind;
use stack_listen::SocketId;

use super::{State, Supervisor, TakingOver};
use crate::{
    channel::{MOST_DESCRIPTORS, Received},
    command::Answer,
    generation::{Failure, Generation, Purpose, State as GenerationState, Wish},
    message::{Notice, Order},
    notify::Stage,
};

/// Generations that finish what they have beside the one that serves. Each is a whole server, with all its workers.
const MOST_DRAINING: usize = 4;

/// Messages that are taken from one server before others have their turn.
const AT_A_TIME: usize = 16;

/// How long a server may take to accept no more.
const HAND_OVER_TIME: Duration = Duration::from_secs(2);

impl Supervisor {
    /// Takes what a server has sent.
    pub(super) fn hear(&mut self, number: u64) {
        for round in 0.. {
            if round == AT_A_TIME {
                return;
            }
            let Some(generation) = self.generation(number) else { return };
            match generation.channel.receive::<Notice>(false) {
                Ok(Received::Message(notice, _)) => self.take_notice(number, notice),
                Ok(Received::Unknown(text)) => tracing::debug!(generation = number, text, "an unknown notice"),
                Ok(Received::Nothing) => return,
                Ok(Received::End) => break,
                Err(error) => {
                    tracing::debug!(generation = number, %error, "a control connection is broken");
                    break;
                }
            }
        }
        if let Some(generation) = self.generation(number) {
            generation.disconnected();
        }
    }

    fn take_notice(&mut self, number: u64, notice: Notice) {
        let Some(generation) = self.generation(number) else { return };
        match notice {
            Notice::Listen { binds, backlog } => self.give_sockets(number, &binds, backlog),
            Notice::Ready(facts) => {
                generation.facts = facts;
                if generation.state() == GenerationState::Starting {
                    generation.enter(GenerationState::Ready);
                    generation.tell(&Order::Serve);
                }
            }
            Notice::Serving => self.taken_over(number),
            Notice::Failed { text, exit_code } => generation.failure = Some(Failure { text, exit_code }),
            Notice::HandedOver => self.taken_over_at_last(|taking_over| taking_over.from == number),
            Notice::Drained { cut_off } => generation.cut_off = Some(cut_off),
            Notice::Changed(files) => {
                // Another one that serves goes first: it has seen the same. Without one this may be stuck in its import.
                let speaks = generation.state() == GenerationState::Serving
                    || (generation.is_candidate() && self.serving().is_none());
                if speaks && !matches!(self.state, State::Stopping | State::Ended) {
                    self.reload_changed(files);
                }
            }
            Notice::WantsReload { reason, is_urgent } => self.take_wish(number, Wish { reason, is_urgent }),
            Notice::Report(report) => self.answer_status(Some(report)),
            Notice::Pong => generation.lives(),
        }
    }

    fn give_sockets(&mut self, number: u64, binds: &[Bind], backlog: u32) {
        let groups = match self.sockets.listen(binds, backlog) {
            Ok(groups) => groups,
            Err(error) => return self.refuse_sockets(number, chain(&error)),
        };
        let ids: Vec<SocketId> = groups.concat();
        if ids.len() > MOST_DESCRIPTORS {
            self.let_go_of_sockets();
            return self.refuse_sockets(number, format!("{} listeners are more than can be handed over", ids.len()));
        }
        let Some(place) = self.generations.iter().position(|generation| generation.number == number) else { return };
        self.generations[place].sockets.clone_from(&ids);
        let descriptors: Vec<_> =
            ids.iter().filter_map(|id| self.sockets.get(*id)).map(|bound| bound.socket.as_fd()).collect();
        let order = Order::Listening { groups: groups.iter().map(Vec::len).collect() };
        self.generations[place].tell_with(&order, &descriptors);
    }

    fn refuse_sockets(&mut self, number: u64, reason: String) {
        if let Some(generation) = self.generation(number) {
            generation.tell(&Order::NotListening { reason });
        }
    }

    /// A generation accepts connections: those before it have nothing to wait for any more.
    fn taken_over(&mut self, number: u64) {
        let is_stopping = self.state == State::Stopping;
        let Some(generation) = self.generation(number) else { return };
        if !generation.is_candidate() || is_stopping {
            return;
        }
        generation.enter(GenerationState::Serving);
        let took = generation.started_at.elapsed();
        let pid = generation.pid.as_raw_nonzero().get();
        let purpose = generation.purpose;
        let addresses = generation.facts.addresses.join(" ");
        let taken = generation.sockets.clone();
        let changed = generation.changed.take();
        let learned = generation.facts.learned.clone();
        let mut from = None;
        for before in &mut self.generations {
            if before.number != number && before.state() == GenerationState::Serving {
                let places = before.sockets.iter().enumerate();
                let given_up = places.filter(|(_, id)| !taken.contains(id)).map(|(place, _)| place).collect();
                before.ends_quietly = changed.is_some();
                before.drain(&Order::HandOver { given_up });
                from = Some(before.number);
            }
        }
        self.limit_draining();
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match changed {
            Some(changed) => tracing::info!(changed, took_ms, "reloaded"),
            None if number > 1 => tracing::info!(generation = number, pid, took_ms, "a new generation serves"),
            None => {}
        }
        (self.changed, self.learned) = (None, learned);
        self.let_go_of_sockets();
        self.enter(State::Serving);
        match purpose {
            Purpose::Reload => self.reloads += 1,
            Purpose::Renewal => self.wishes.granted += 1,
            Purpose::First | Purpose::Restart => {}
        }
        if purpose.takes_over() {
            self.reload_error = None;
            self.wishes.fulfilled();
        }
        let answer = Answer { generation: Some(number), pid: Some(pid), ..Answer::done() };
        match from {
            // Who asked for new code is not to meet the old one with the next connection.
            Some(from) => {
                let (newest_client, until) = (self.control.newest(), Instant::now() + HAND_OVER_TIME);
                self.taking_over = Some(TakingOver { from, answer, newest_client, until });
            }
            None => self.answer_reloads(&answer),
        }
        self.notify.tell(Stage::Ready, &format!("serving on {addresses}"));
        self.catch_up();
    }

    /// Cuts off the oldest where reloads come faster than drains end.
    fn limit_draining(&mut self) {
        let draining = self.generations.iter().filter(|generation| generation.drains()).count();
        let oldest = self.generations.iter_mut().filter(|generation| generation.drains());
        for generation in oldest.take(draining.saturating_sub(MOST_DRAINING)) {
            tracing::warn!(
                code = "STACK0711",
                generation = generation.number,
                most = MOST_DRAINING,
                "too many generations finish what they have: the oldest is cut off"
            );
            generation.abort("too many generations finish what they have");
        }
    }

    /// Closes the sockets that no generation listens on any more. Without one that serves, clients wait in all of them.
    pub(super) fn let_go_of_sockets(&mut self) {
        if self.serving().is_none() {
            return;
        }
        let is_in_use = |generation: &&Generation| generation.state() != GenerationState::Draining;
        let used = self.generations.iter().filter(is_in_use).flat_map(|generation| generation.sockets.clone());
        let used: Vec<SocketId> = used.collect();
        self.sockets.keep(&used);
    }

    fn generation(&mut self, number: u64) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|generation| generation.number == number)
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
