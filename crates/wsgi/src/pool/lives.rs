//! The workers of a pool: each life of one, with its state.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use stack_bridge::{Crew, WorkerId, WorkerState};

/// Names one life of a worker. Its successor has the same worker's number and another one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LifeId(u64);

/// All workers that have begun and whose end is worth knowing, to be watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lives(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    lives: Vec<Life>,
    next: u64,
}

#[derive(Debug)]
struct Life {
    id: LifeId,
    crew: Crew,
    state: WorkerState,
    /// When it became ready.
    ready_at: Option<Instant>,
    /// Its successor has been asked for.
    succeeded: bool,
}

impl Lives {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, crew: Crew) -> LifeId {
        let mut state = self.lock();
        let id = LifeId(state.next);
        state.next += 1;
        state.lives.push(Life { id, crew, state: WorkerState::Starting, ready_at: None, succeeded: false });
        id
    }

    /// The one place where a worker's state changes. What `is_expected` says of the state before decides whether it does.
    pub(crate) fn change(&self, id: LifeId, to: WorkerState, is_expected: impl Fn(WorkerState) -> bool) -> bool {
        let mut state = self.lock();
        let Some(place) = state.lives.iter().position(|life| life.id == id) else { return false };
        let life = &mut state.lives[place];
        let from = life.state;
        if from == to || !is_expected(from) {
            return false;
        }
        life.state = to;
        if to == WorkerState::Ready && life.ready_at.is_none() {
            life.ready_at = Some(Instant::now());
        }
        let worker = life.crew.worker();
        if to == WorkerState::Ended && life.succeeded {
            // Its successor stands for it.
            state.lives.swap_remove(place);
        }
        drop(state);
        tracing::debug!(worker = worker.0, life = id.0, ?from, ?to, "worker state");
        self.0.1.notify_all();
        true
    }

    pub(crate) fn set(&self, id: LifeId, to: WorkerState) {
        self.change(id, to, |from| !from.is_final());
    }

    pub(crate) fn state(&self, id: LifeId) -> Option<WorkerState> {
        self.lock().lives.iter().find(|life| life.id == id).map(|life| life.state)
    }

    /// Notes that a successor is asked for. False where one was before.
    pub(crate) fn succeed(&self, id: LifeId) -> Option<Crew> {
        let mut state = self.lock();
        let life = state.lives.iter_mut().find(|life| life.id == id)?;
        (!std::mem::replace(&mut life.succeeded, true)).then(|| life.crew.clone())
    }

    /// Takes that back: there is none, and the worker goes on.
    pub(crate) fn has_no_successor(&self, id: LifeId) {
        if let Some(life) = self.lock().lives.iter_mut().find(|life| life.id == id) {
            life.succeeded = false;
        }
    }

    /// The states of all, by the workers' numbers and then the oldest first.
    pub(crate) fn states(&self) -> Vec<WorkerState> {
        self.lock().states()
    }

    /// How many are left to themselves.
    pub(crate) fn abandoned(&self) -> usize {
        self.lock().lives.iter().filter(|life| life.state == WorkerState::Abandoned).count()
    }

    /// The numbers of all workers.
    pub(crate) fn workers(&self) -> Vec<WorkerId> {
        let mut workers: Vec<_> = self.lock().lives.iter().map(|life| life.crew.worker()).collect();
        workers.sort_unstable_by_key(|worker| worker.0);
        workers.dedup();
        workers
    }

    /// Those that serve, with when they began to.
    pub(crate) fn serving(&self) -> Vec<(LifeId, Instant)> {
        let serves = |life: &Life| matches!(life.state, WorkerState::Ready | WorkerState::Stalled) && !life.succeeded;
        let state = self.lock();
        state.lives.iter().filter(|life| serves(life)).filter_map(|life| Some((life.id, life.ready_at?))).collect()
    }

    /// Gives all of them no more jobs.
    pub(crate) fn retire_all(&self) {
        let crews: Vec<_> = self.lock().lives.iter().map(|life| life.crew.clone()).collect();
        crews.iter().for_each(Crew::retire);
    }

    /// Waits until `reached` is true of the states, or until the deadline; gives the states.
    pub(crate) fn wait_for(
        &self,
        deadline: Instant,
        reached: impl Fn(&[WorkerState]) -> bool,
    ) -> Result<Vec<WorkerState>, Vec<WorkerState>> {
        let mut state = self.lock();
        loop {
            let states = state.states();
            if reached(&states) {
                return Ok(states);
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return Err(states) };
            state = self.0.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn states(&self) -> Vec<WorkerState> {
        let mut lives: Vec<_> = self.lives.iter().collect();
        lives.sort_unstable_by_key(|life| (life.crew.worker().0, life.id.0));
        lives.into_iter().map(|life| life.state).collect()
    }
}
