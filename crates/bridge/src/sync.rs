//! The synchronisation primitives this crate stands on, so that a model checker can take their place.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Condvar, Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

/// Where an idle thread waits for one job: a channel with room for one.
#[cfg(not(loom))]
pub(crate) mod mailbox {
    pub(crate) use crossbeam_channel::{Receiver, Sender};

    pub(crate) fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
        crossbeam_channel::bounded(1)
    }
}

#[cfg(loom)]
pub(crate) mod mailbox {
    pub(crate) use loom::sync::mpsc::{Receiver, Sender};

    pub(crate) fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
        loom::sync::mpsc::channel()
    }
}

/// Lets others run for a while.
pub(crate) fn pause(time: std::time::Duration) {
    #[cfg(not(loom))]
    std::thread::park_timeout(time);
    #[cfg(loom)]
    {
        let _ = time;
        loom::thread::yield_now();
    }
}

/// Locks, and goes on after a panic elsewhere: every critical section of this crate leaves its state whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
