//! The thread that enters a worker's interpreter for the one that watches.

use std::{
    io,
    sync::{Arc, Weak, mpsc},
    thread,
};

use stack_interp::{InterpreterHandle, widen_signal_stack};

use super::{Shared, post::News, slot::SharedSlot};

/// What an attendant is sent to do: to raise what is to be raised, and to bring stacks.
#[derive(Debug)]
struct Errand {
    news: Vec<News>,
}

/// What it brings back.
#[derive(Debug)]
pub(super) struct Report {
    /// Of the worker.
    pub(super) key: u64,
    /// With the stack of each whose request still ran.
    pub(super) news: Vec<(News, Option<String>)>,
}

/// A worker's attendant. It ends with this, if it is not held up.
#[derive(Debug)]
pub(super) struct Attendant(mpsc::Sender<Errand>);

impl Attendant {
    pub(super) fn start(
        name: String,
        key: u64,
        interpreter: InterpreterHandle,
        slots: Vec<SharedSlot>,
        watch: &Arc<Shared>,
    ) -> io::Result<Self> {
        let (sender, errands) = mpsc::channel();
        let watch = Arc::downgrade(watch);
        let run = move || {
            widen_signal_stack();
            for errand in errands {
                let news = attend(&interpreter, &slots, errand);
                let Some(watch) = Weak::upgrade(&watch) else { return };
                watch.report(Report { key, news });
            }
        };
        thread::Builder::new().name(name).spawn(run)?;
        Ok(Self(sender))
    }

    pub(super) fn send(&self, news: Vec<News>) {
        // It is there as long as this is; if it panicked it does not come back, as one that is held up.
        let _ = self.0.send(Errand { news });
    }
}

fn attend(
    interpreter: &InterpreterHandle,
    slots: &[SharedSlot],
    Errand { news }: Errand,
) -> Vec<(News, Option<String>)> {
    let attended = interpreter.run(|py| {
        // Before the exceptions: with those the stacks are other ones.
        let stacks: Vec<_> = news.iter().map(|news| slots[news.slot].stack(py, news.serial?)).collect();
        for slot in slots {
            slot.raise(py);
        }
        stacks
    });
    // An interpreter that has ended runs nothing.
    let stacks = attended.unwrap_or_else(|_| vec![None; news.len()]);
    news.into_iter().zip(stacks).collect()
}
