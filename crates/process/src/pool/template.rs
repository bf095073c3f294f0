//! The server's side of the process that workers are forked from.

use std::{
    collections::HashMap,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use tokio::{
    process::Child,
    sync::{Mutex, mpsc, oneshot},
};

use super::{Exit, Program, StartError};
use crate::{
    control::{self, LastWords, Started},
    link::{Link, LinkError},
    wire::{self, Notice, Order, WireError},
};

/// Forks workers. The process it does so from is started with the first, and again where it has died.
#[derive(Debug)]
pub(super) struct Templates {
    program: Program,
    spec: String,
    current: Mutex<Option<Template>>,
}

/// A process that has the application imported.
#[derive(Debug)]
struct Template {
    requests: mpsc::Sender<Request>,
    report: String,
}

#[derive(Debug)]
struct Request {
    worker: u16,
    control: OwnedFd,
    forked: oneshot::Sender<ForkedWorker>,
}

/// A worker that was forked.
#[derive(Debug)]
pub(super) struct ForkedWorker {
    pub(super) pid: u32,
    /// How it ended; an error where the process it was forked from went before it.
    pub(super) exit: oneshot::Receiver<Exit>,
}

impl Templates {
    pub(super) fn new(program: Program, spec: String) -> Self {
        Self { program, spec, current: Mutex::default() }
    }

    /// Forks a worker, which waits for its start on the other end of `control`. Gives what the template reported too.
    pub(super) async fn fork(&self, worker: u16, control: UnixStream) -> Result<(ForkedWorker, String), StartError> {
        let mut current = self.current.lock().await;
        if current.as_ref().is_none_or(|template| template.requests.is_closed()) {
            *current = Some(Template::start(&self.program, &self.spec).await?);
        }
        let template = current.as_ref().expect("set above");
        let (forked, answer) = oneshot::channel();
        let request = Request { worker, control: control.into(), forked };
        template.requests.send(request).await.map_err(|_| StartError::Gone)?;
        Ok((answer.await.map_err(|_| StartError::Gone)?, template.report.clone()))
    }
}

impl Template {
    async fn start(program: &Program, spec: &str) -> Result<Self, StartError> {
        let Started { mut link, mut child, mut last_words } = control::exec(program)?;
        let prepared = async {
            control::equip(&mut link, &last_words, 0).await.map_err(control::start_error)?;
            link.send(&Order::Preload { spec }, &[], &[]).await.map_err(control::start_error)?;
            control::wait_until_ready(&mut link).await
        };
        let report = match prepared.await {
            Ok(report) => report,
            Err(error) => return Err(control::why(error, &mut child, &mut last_words).await),
        };
        let (requests, incoming) = mpsc::channel(1);
        tokio::spawn(watch(link, child, last_words, incoming));
        Ok(Self { requests, report })
    }
}

/// Passes requests on and answers back, until the process or the pool is gone.
async fn watch(mut link: Link, mut child: Child, mut last_words: LastWords, mut requests: mpsc::Receiver<Request>) {
    let mut alive = HashMap::new();
    let mut asked = None;
    loop {
        let outcome = tokio::select! {
            // One at a time: the answer names the worker, but who asked is kept here.
            request = requests.recv(), if asked.is_none() => match request {
                Some(Request { worker, control, forked }) => {
                    asked = Some(forked);
                    link.send(&Order::Fork { worker }, &[], &[control.as_fd()]).await
                }
                None => return,
            },
            frame = link.receive() => match frame {
                Ok(frame) => take_note(&mut link, frame, &mut alive, &mut asked).map_err(LinkError::from),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = outcome {
            let exit = control::end_of(&mut child).await;
            tracing::error!(
                code = "STACK0317",
                %error,
                %exit,
                stack = last_words.read(),
                "the process that workers are forked from is gone; it is started again when one is needed"
            );
            return;
        }
    }
}

fn take_note(
    link: &mut Link,
    frame: std::ops::Range<usize>,
    alive: &mut HashMap<u32, oneshot::Sender<Exit>>,
    asked: &mut Option<oneshot::Sender<ForkedWorker>>,
) -> Result<(), WireError> {
    match wire::read::<Notice<'_>>(link.inbox().frame(frame))?.0 {
        Notice::Forked { worker: _, pid } => {
            let (ended, exit) = oneshot::channel();
            alive.insert(pid, ended);
            if let Some(asked) = asked.take() {
                // A pool that has given up meanwhile ends the worker by closing its control connection.
                let _ = asked.send(ForkedWorker { pid, exit });
            }
        }
        Notice::Exited { pid, code, signal, core_dumped } => {
            if let Some(ended) = alive.remove(&pid) {
                let _ = ended.send(Exit { code, signal, core_dumped });
            }
        }
        Notice::Failed { problem } => {
            tracing::error!(code = "STACK0317", problem, "the process that workers are forked from can not go on");
        }
        _ => return Err(WireError::OutOfPlace),
    }
    Ok(())
}
