//! What the control socket is asked for.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{State, Supervisor, TakingOver};
use crate::{
    command::{Answer, Command, GenerationStatus, Status},
    message::Order,
};

/// How long a server may take to say how it is.
const REPORT_TIME: Duration = Duration::from_secs(1);

impl Supervisor {
    pub(super) fn take_command(&mut self, client: u64) {
        match self.control.read(client) {
            None => {}
            Some(Command::Status) => self.ask_server(),
            Some(Command::Reload) => {
                if matches!(self.state, State::Stopping | State::Ended) {
                    self.answer_reloads(&Answer::failed("the server is stopping"));
                } else {
                    self.reload("stack reload");
                }
            }
            Some(Command::Stop { at_once: true }) => self.abort("stack stop"),
            // It is waited for then, not told again.
            Some(Command::Stop { at_once: false }) if self.state == State::Stopping => {}
            Some(Command::Stop { at_once: false }) => self.stop("stack stop"),
        }
    }

    /// Has the server say how it is; without one, or where it does not answer, the rest is told alone.
    fn ask_server(&mut self) {
        match self.serving() {
            Some(serving) => {
                serving.tell(&Order::Report);
                self.report_at.get_or_insert(Instant::now() + REPORT_TIME);
            }
            None => self.answer_status(None),
        }
    }

    pub(super) fn answer_status(&mut self, server: Option<Value>) {
        self.report_at = None;
        if !self.control.is_waited_for(|command| command == Command::Status) {
            return;
        }
        let answer = Answer { status: Some(self.status(server)), ..Answer::done() };
        self.control.answer(&answer, |command| command == Command::Status);
    }

    /// Tells those who wait for a reload that it is done, if that is so of the one that is under way.
    pub(super) fn taken_over_at_last(&mut self, is_done: impl FnOnce(&TakingOver) -> bool) {
        if let Some(taking_over) = self.taking_over.take_if(|taking_over| is_done(taking_over)) {
            self.control
                .answer_up_to(taking_over.newest_client, &taking_over.answer, |command| command == Command::Reload);
        }
    }

    pub(super) fn answer_reloads(&mut self, answer: &Answer) {
        self.control.answer(answer, |command| command == Command::Reload);
    }

    /// The last of all answers.
    pub(super) fn answer_at_end(&mut self) {
        self.answer_reloads(&Answer::failed("the server has stopped"));
        let answer = Answer { cut_off: Some(self.cut_off), ..Answer::done() };
        self.control.answer(&answer, |_| true);
    }

    fn status(&self, server: Option<Value>) -> Status {
        let generations = self.generations.iter().map(|generation| GenerationStatus {
            number: generation.number,
            pid: generation.pid.as_raw_nonzero().get(),
            state: generation.state(),
            age_seconds: generation.started_at.elapsed().as_secs(),
        });
        Status {
            state: self.state,
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started_at.elapsed().as_secs(),
            restarts: self.restarts.total(),
            reloads: self.reloads,
            failed_reloads: self.failed_reloads,
            reload_error: self.reload_error.clone(),
            generations: generations.collect(),
            addresses: self.serving().map(|serving| serving.facts.addresses.clone()).unwrap_or_default(),
            server,
        }
    }
}
