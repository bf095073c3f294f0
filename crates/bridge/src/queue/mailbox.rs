//! What an idle thread is sent, and where it waits for it.

use std::task::{Context, Poll, Waker};

use super::Job;
use crate::sync::{Arc, Mutex, lock, mailbox::Sender};

#[derive(Debug)]
pub(super) enum Letter {
    Job(Job),
    /// A job waits for a thread that is about to be back; take it, should that one stay away.
    Reserve,
    /// There will be no more jobs.
    Closed,
}

/// Where one idle thread, or the task that carries its jobs, waits. It takes one letter at a time.
#[derive(Debug)]
pub(super) enum Mailbox {
    Thread(Sender<Letter>),
    Task(TaskMailbox),
}

impl Mailbox {
    /// Delivers the letter, or gives it back where nobody waits any more.
    pub(super) fn send(&self, letter: Letter) -> Result<(), Letter> {
        match self {
            Self::Thread(sender) => sender.send(letter).map_err(|error| error.0),
            Self::Task(mailbox) => mailbox.send(letter),
        }
    }
}

/// A mailbox whose owner waits as a future does.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskMailbox(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    letter: Option<Letter>,
    closed: bool,
    waker: Option<Waker>,
}

impl TaskMailbox {
    fn send(&self, letter: Letter) -> Result<(), Letter> {
        let mut slot = lock(&self.0);
        if slot.closed {
            return Err(letter);
        }
        slot.letter = Some(letter);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    pub(super) fn poll_receive(&self, context: &Context<'_>) -> Poll<Letter> {
        let mut slot = lock(&self.0);
        if let Some(letter) = slot.letter.take() {
            return Poll::Ready(letter);
        }
        if !slot.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            slot.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Takes no more letters. The one that is there comes out.
    pub(super) fn close(&self) -> Option<Letter> {
        let mut slot = lock(&self.0);
        slot.closed = true;
        slot.letter.take()
    }

    pub(super) fn is(&self, other: &Mailbox) -> bool {
        matches!(other, Mailbox::Task(other) if Arc::ptr_eq(&self.0, &other.0))
    }
}
