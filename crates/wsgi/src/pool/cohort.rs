//! Workers that begin together, and of which one may serve before the others.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Has none of them serve while the interpreter of another one of them is being made. What CPython changes then, of the types that all
/// interpreters share, is not guarded everywhere against one that runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Cohort(Arc<(Mutex<usize>, Condvar)>);

/// One of them, until its interpreter is there. Who is dropped is not waited for.
#[derive(Debug)]
pub(super) struct Newcomer(Cohort);

impl Cohort {
    pub(super) fn newcomer(&self) -> Newcomer {
        *self.lock() += 1;
        Newcomer(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Newcomer {
    /// Waits for the others' interpreters.
    pub(super) fn wait(self) {
        let cohort = self.0.clone();
        drop(self);
        let mut missing = cohort.lock();
        while *missing > 0 {
            missing = cohort.0.1.wait(missing).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn all_wait_for_all_but_for_those_that_gave_up() {
        let cohort = Cohort::default();
        let [first, second, third] = [(); 3].map(|()| cohort.newcomer());
        let (sender, waited) = mpsc::channel();
        let waiting = thread::spawn(move || {
            first.wait();
            sender.send(()).unwrap();
        });
        drop(second);
        assert_eq!(waited.recv_timeout(Duration::from_millis(50)), Err(mpsc::RecvTimeoutError::Timeout));
        third.wait();
        waiting.join().unwrap();
    }
}
