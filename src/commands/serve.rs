//! `stack serve`: runs the server.

use std::{process, time::Duration};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stack_bridge::Queue;
use stack_config::{Config, Loaded};
use stack_front::{Front, Listeners, Stop};
use stack_interp::Version;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
};

use crate::{
    Exit,
    isolation::Mode,
    logging,
    start::{Plan, report_refusals, spelled},
    workers::{Workers, shape},
};

/// How long the applications' own end may take: their threads, their atexit handlers.
const END_TIME: Duration = Duration::from_secs(10);

/// Serves until a signal says stop.
pub(crate) fn run(loaded: Loaded) -> anyhow::Result<Exit> {
    let config = loaded.config;
    logging::init(&config.log)?;
    let plan = Plan::make(&config)?;
    raise_file_limit();
    // Before the application is imported: a taken port is said at once, and early clients wait in the kernel's backlog.
    let listeners = Listeners::bind(&config.bind, config.limits.backlog)?;
    let admin_listeners = Listeners::bind(&config.clients.health.admin_bind, config.limits.backlog)?;
    let queue = Queue::shedding(config.limits.queue_size, config.clients.queue_target);
    let front = Front::new(&config, queue.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(front_threads(&config))
        .thread_name("front")
        .enable_all()
        .build()
        .context("the event loop could not be started")?;
    let exit = runtime.block_on(async {
        for address in admin_listeners.describe() {
            tracing::info!(address, "answering health checks");
        }
        // From before the import to after the drain: those are the times when it matters.
        let (end, ended) = oneshot::channel::<()>();
        let end_of_admin = async {
            let _ = ended.await;
        };
        let admin = tokio::spawn(front.admin().serve(admin_listeners, end_of_admin));
        let exit = start_and_serve(config, plan, queue, front, listeners).await;
        drop(end);
        let _ = admin.await;
        exit
    });
    // What still runs there goes with the process.
    runtime.shutdown_background();
    exit
}

async fn start_and_serve(
    config: Config,
    plan: Plan,
    queue: Queue,
    front: Front,
    listeners: Listeners,
) -> anyhow::Result<Exit> {
    let mut signals = Signals::new()?;
    // An import may take long, and a signal must not wait for it: as process 1 of a container nobody else would act.
    let started = tokio::select! {
        started = start(config, plan, queue) => started?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before the application was loaded");
            return Ok(Exit::Success);
        }
    };
    announce(&started, &listeners);
    serve(front, listeners, started.workers, signals).await
}

struct Started {
    config: Config,
    plan: Plan,
    workers: Workers,
}

async fn start(config: Config, plan: Plan, queue: Queue) -> anyhow::Result<Started> {
    let workers = Workers::start(&config, &plan, &queue).await?;
    Ok(Started { config, plan, workers })
}

/// Lifts the limit of open files as far as this user may: each connection takes one, and the usual soft limit of 1024 is
/// for programs that use `select`.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, limit = ?limit.current, "the limit of open files could not be raised");
    }
}

/// The front needs far less than the application.
fn front_threads(config: &Config) -> usize {
    config.workers.get().div_ceil(2)
}

async fn serve(front: Front, listeners: Listeners, workers: Workers, mut signals: Signals) -> anyhow::Result<Exit> {
    let (stop, stopping) = watch::channel(Stop::Serving);
    let mut serving = tokio::spawn(front.serve(listeners, stopping));
    let drained = tokio::select! {
        drained = &mut serving => drained,
        name = signals.next() => {
            tracing::info!(signal = name, "stopping: no new connections, requests in flight are finished");
            stop.send_replace(Stop::Draining);
            tokio::select! {
                drained = &mut serving => drained,
                name = signals.next() => {
                    tracing::warn!(signal = name, "stopping at once");
                    stop.send_replace(Stop::Aborting);
                    return Ok(Exit::Failure);
                }
            }
        }
    };
    let drained = drained.context("the front ended")?;
    let stuck = tokio::select! {
        stuck = workers.stop(END_TIME) => stuck?,
        name = signals.next() => {
            tracing::warn!(signal = name, "stopping at once");
            return Ok(Exit::Failure);
        }
    };
    if stuck > 0 {
        tracing::warn!(code = "STACK0214", workers = stuck, "workers were still busy and are cut off");
    }
    tracing::info!(cut_off = drained.cut_off, "stopped");
    Ok(Exit::Success)
}

/// The signals that stop a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let watch = |kind| signal(kind).context("a signal can not be watched");
        Ok(Self { terminate: watch(SignalKind::terminate())?, interrupt: watch(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// What is served where, and with what.
fn announce(started: &Started, listeners: &Listeners) {
    let Started { config, plan, workers } = started;
    if let Some(because_of) = &plan.because_of {
        tracing::info!(app = spelled(&plan.app), because_of, "found the application");
    }
    let (count, threads) = shape(config, workers.choice.mode);
    tracing::info!(
        app = spelled(&plan.app),
        directory = %config.chdir.display(),
        python = workers.python,
        venv = plan.venv_text(),
        isolation = workers.choice.mode.as_str(),
        workers = count,
        threads,
        pid = process::id(),
        "serving"
    );
    if workers.choice.why.is_some() {
        tracing::info!("{}", workers.choice.sentence(config));
    }
    if workers.choice.mode == Mode::Threads {
        announce_threads(config);
    }
    for root in &config.statics {
        let prefix = root.prefix.as_deref().unwrap_or("/");
        tracing::info!(prefix, directory = %root.directory.display(), "static files");
    }
    for address in listeners.describe() {
        tracing::info!(address, "listening");
    }
    if let Some(pool) = &workers.here {
        report_refusals(pool);
    }
}

/// What somebody who chose threads should know.
fn announce_threads(config: &Config) {
    if !Version::linked().is_free_threaded() {
        tracing::info!("threads of one interpreter share its GIL: Python code runs on one core (isolation=threads)");
    }
    if config.workers_given {
        tracing::info!(workers = config.workers, "workers has no effect: the threads run in one interpreter");
    }
}
