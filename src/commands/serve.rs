//! `stack serve`: runs the server.

mod admin;
mod announce;
mod development;

use std::{num::NonZeroUsize, sync::Arc, thread, time::Duration};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stack_bridge::Queue;
use stack_config::{Config, Loaded};
use stack_front::{Front, GivenUp, Lineage, Listeners, Stop, Tls};
use stack_supervisor::{
    message::{Begin, Facts, Notice},
    server::{Link, Orders as ParentOrders},
};
use stack_wsgi::WhenWorn;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Exit, django, logging,
    orders::{End, Orders, Parent, Service},
    start::{Listening, Plan, SharedPython},
    workers::Workers,
    worn::AskSupervisor,
};
use admin::AdminService;
use announce::{announce, announce_details, announce_tls};
pub(crate) use development::Development;

/// How long the applications' own end may take: their threads, their atexit handlers.
const END_TIME: Duration = Duration::from_secs(10);

/// Serves until a signal or the parent says stop.
pub(crate) fn run(loaded: Loaded, parent: Option<Parent>) -> anyhow::Result<Exit> {
    logging::init(&loaded.config.log)?;
    let development = Development::new(&loaded, parent.as_ref());
    let config = loaded.config;
    let mut plans = Plan::all(&config)?;
    raise_file_limit();
    let begin = parent.as_ref().map(|parent| parent.begin.clone()).unwrap_or_default();
    development::recall(&begin, &mut plans);
    let (parent, bound) = bind(&config, parent)?;
    let tls = Tls::load(&config.tls, &config.bind, config.limits.http2)?;
    if let Some(tls) = &tls {
        announce_tls(tls);
    }
    let queue = |_| Queue::shedding(config.limits.queue_size, config.clients.queue_target);
    let queues: Vec<_> = plans.iter().map(queue).collect();
    let front = Front::new(&config, queues.clone())?.with_tls(tls).with_development(development.front.clone());
    front.metrics().started_as(lineage(&begin));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(front_threads(&plans))
        .thread_name("front")
        .enable_all()
        .build()
        .context("the event loop could not be started")?;
    let exit = runtime.block_on(async {
        let mut admin = AdminService::new(front.admin(), bound.admin);
        // From before the import to after the drain: those are the times when it matters. But there is one server to speak of.
        if !begin.takes_over {
            admin.start();
        }
        let wanted = Wanted { config, plans, queues, development };
        let exit = start_and_serve(wanted, front, bound.listeners, parent, &mut admin).await;
        admin.stop().await;
        exit
    });
    // What still runs there goes with the process.
    runtime.shutdown_background();
    exit
}

/// What the supervisor has told of the servers before this one.
fn lineage(begin: &Begin) -> Lineage {
    let Begin { generation, restarts, unresponsive, reloads, worn, takes_over: _, workers: _, changed: _, learned: _ } =
        *begin;
    Lineage { generation, ended: restarts.saturating_sub(unresponsive), unresponsive, reloads, worn }
}

/// The parent, when it has given the sockets.
type Told = Option<(Link, ParentOrders, Begin)>;

struct Sockets {
    listeners: Listeners,
    admin: Listeners,
}

/// Binds, or has the parent bind. Before the application is imported: a taken port is said at once, and early clients wait in
/// the kernel's backlog.
fn bind(config: &Config, parent: Option<Parent>) -> anyhow::Result<(Told, Sockets)> {
    let (endpoints, admin_endpoints) = (&config.bind, &config.clients.health.admin_bind);
    let Some(Parent { link, mut orders, begin, since: _ }) = parent else {
        let listeners = Listeners::bind(endpoints, config.limits.backlog)?;
        let admin = Listeners::bind(admin_endpoints, config.limits.backlog)?;
        return Ok((None, Sockets { listeners, admin }));
    };
    let binds: Vec<_> = endpoints.iter().chain(admin_endpoints).map(|endpoint| endpoint.bind.clone()).collect();
    let mut sockets = orders.listen(&binds, config.limits.backlog)?;
    let admin = Listeners::new(admin_endpoints, sockets.split_off(endpoints.len()));
    let listeners = Listeners::new(endpoints, sockets);
    Ok((Some((link, orders, begin)), Sockets { listeners, admin }))
}

/// What is to be started.
struct Wanted {
    config: Config,
    plans: Vec<Plan>,
    queues: Vec<Queue>,
    development: Development,
}

async fn start_and_serve(
    wanted: Wanted,
    mut front: Front,
    listeners: Listeners,
    parent: Told,
    admin: &mut AdminService,
) -> anyhow::Result<Exit> {
    let Wanted { config, plans, queues, development } = wanted;
    let link = parent.as_ref().map(|(link, ..)| link.clone());
    let begin = parent.as_ref().map(|(.., begin)| begin.clone()).unwrap_or_default();
    let service = Service { admin: front.admin(), log: front.reopen_log(), development: development.clone() };
    let mut orders = match parent {
        Some((link, orders, _)) => Orders::of_parent(link, orders, service)?,
        None => Orders::alone(service)?,
    };
    let when_worn = link.clone().map(|link| Arc::new(AskSupervisor(link)) as Arc<dyn WhenWorn>);
    let listening = Listening { when_worn, reloading: development.reloading.clone(), is_first: !begin.takes_over };
    // An import may take long, and a signal must not wait for it: as process 1 of a container nobody else would act.
    let started = tokio::select! {
        started = start(config.clone(), plans, queues, listening) => started,
        end = orders.end() => {
            tracing::info!(reason = %end, "stopped before the application was loaded");
            return Ok(Exit::Success);
        }
    };
    let started = match started {
        Err(error) if development.goes_on_without_application(&begin) => {
            development.is_broken(&error);
            Started { config, applications: Vec::new() }
        }
        started => started?,
    };
    let found: Vec<_> = started.applications.iter().map(|it| (&it.plan, it.workers.directories.as_slice())).collect();
    development.follow(found.iter().flat_map(|(_, directories)| *directories));
    django::serve(&mut front, django::decide(&started.config, &found));
    if let Some(check) = started.config.lifecycle.reload_check.as_ref().filter(|_| begin.takes_over) {
        tokio::select! {
            checked = front.check(check) => {
                let status = checked.with_context(|| format!("the reload check {check} failed"))?;
                tracing::info!(%check, status = status.as_u16(), "the reload check went well");
            }
            end = orders.end() => {
                tracing::info!(reason = %end, "stopped before serving");
                return Ok(Exit::Success);
            }
        }
    }
    if let Some(link) = &link {
        development.begun().await;
        link.tell(&Notice::Ready(facts(&started, &listeners)));
        if let Some(reason) = orders.until_serve().await {
            tracing::info!(reason, "stopped before serving");
            return Ok(Exit::Success);
        }
        link.tell(&Notice::Serving);
        development.serving();
    }
    admin.start();
    // Who has saved a file knows all this.
    if begin.changed.is_none() || !begin.takes_over {
        announce(&started, &listeners);
        announce_details(&started.config);
    }
    serve(front, listeners, (started, development), orders, link, admin).await
}

/// What the parent is told of a server that is ready.
fn facts(started: &Started, listeners: &Listeners) -> Facts {
    let Started { config, applications } = started;
    let drain = config.timeouts.drain_delay + config.timeouts.grace_period + END_TIME;
    Facts {
        addresses: listeners.describe(),
        directory: config.chdir.clone(),
        workers: applications.first().map_or(0, |running| running.plan.settings.workers.get()),
        drain_ms: u64::try_from(drain.as_millis()).unwrap_or(u64::MAX),
        learned: development::learned(applications.iter().map(|running| running.workers.choice.mode)),
    }
}

struct Started {
    config: Config,
    applications: Vec<Running>,
}

/// One application that has been loaded.
struct Running {
    plan: Plan,
    workers: Workers,
}

/// Starts all applications at once, which are there with the workers that are needed at first; the first that can not be loaded
/// ends the start.
async fn start(config: Config, plans: Vec<Plan>, queues: Vec<Queue>, listening: Listening) -> anyhow::Result<Started> {
    let python = SharedPython::default();
    let mut starting = JoinSet::new();
    for (place, (plan, queue)) in plans.into_iter().zip(queues).enumerate() {
        let (config, python, listening) = (config.clone(), python.clone(), listening.clone());
        starting.spawn(async move {
            let workers = Workers::start(&config, &plan, &queue, &python, listening).await?;
            anyhow::Ok((place, Running { plan, workers }))
        });
    }
    let mut applications = Vec::new();
    while let Some(started) = starting.join_next().await {
        applications.push(started.context("the start ended")??);
    }
    applications.sort_by_key(|(place, _)| *place);
    let applications = applications.into_iter().map(|(_, running)| running).collect();
    Ok(Started { config, applications })
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
fn front_threads(plans: &[Plan]) -> usize {
    match plans.iter().map(|plan| plan.settings.workers.get()).sum() {
        // Files only: all that there is to do.
        0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
        workers => usize::div_ceil(workers, 2),
    }
}

async fn serve(
    front: Front,
    mut listeners: Listeners,
    (started, development): (Started, Development),
    mut orders: Orders,
    link: Option<Link>,
    admin: &mut AdminService,
) -> anyhow::Result<Exit> {
    let Started { config, applications } = started;
    let drain_delay = config.timeouts.drain_delay;
    let (stop, stopping) = watch::channel(Stop::Serving);
    let (given_up, closing) = (listeners.given_up(), listeners.closing());
    let mut is_handed_over = false;
    let mut serving = tokio::spawn(front.serve(listeners, stopping));
    let drained = tokio::select! {
        drained = &mut serving => drained,
        end = orders.end() => {
            let is_abort = matches!(end, End::Abort { .. });
            is_handed_over = matches!(end, End::HandOver { .. });
            development.ends();
            for running in &applications {
                running.workers.ends();
            }
            let drain = async {
                begin_drain(end, drain_delay, &given_up, &stop, (admin, &development)).await;
                let handed_over = async {
                    closing.closed().await;
                    if let Some(link) = link.as_ref().filter(|_| is_handed_over) {
                        link.tell(&Notice::HandedOver);
                    }
                };
                tokio::join!(&mut serving, handed_over).0
            };
            if is_abort {
                let cut_off = drain.await.context("the front ended")?.cut_off;
                tell_cut_off(link.as_ref(), cut_off);
                return Ok(if cut_off == 0 { Exit::Success } else { Exit::Failure });
            }
            tokio::select! {
                drained = drain => drained,
                end = orders.end() => {
                    tracing::warn!(reason = %end, "stopping at once");
                    stop.send_replace(Stop::Aborting);
                    tell_cut_off(link.as_ref(), serving.await.context("the front ended")?.cut_off);
                    return Ok(Exit::Failure);
                }
            }
        }
    };
    let drained = drained.context("the front ended")?;
    if let Some(link) = &link {
        link.tell(&Notice::Drained { cut_off: drained.cut_off });
    }
    let stuck = tokio::select! {
        stuck = end(applications) => stuck?,
        end = orders.end() => {
            tracing::warn!(reason = %end, "stopping at once");
            return Ok(Exit::Failure);
        }
    };
    if stuck > 0 {
        tracing::warn!(code = "STACK0214", workers = stuck, "workers were still busy and are cut off");
    }
    if is_handed_over && development.is_quiet() {
        tracing::debug!(cut_off = drained.cut_off, "stopped");
    } else {
        tracing::info!(cut_off = drained.cut_off, "stopped");
    }
    Ok(Exit::Success)
}

/// Of a stop that did not wait.
fn tell_cut_off(link: Option<&Link>, cut_off: usize) {
    if let Some(link) = link {
        link.tell(&Notice::Drained { cut_off });
    }
    tracing::info!(cut_off, "stopped");
}

async fn begin_drain(
    end: End,
    drain_delay: Duration,
    given_up: &GivenUp,
    stop: &watch::Sender<Stop>,
    (admin, development): (&mut AdminService, &Development),
) {
    match end {
        End::Stop { reason } => {
            if !drain_delay.is_zero() {
                let seconds = drain_delay.as_secs_f64();
                tracing::info!(reason, seconds, "stopping soon: not ready any more, connections are still accepted");
                stop.send_replace(Stop::Leaving);
                tokio::time::sleep(drain_delay).await;
            }
            tracing::info!(reason, "stopping: no new connections, requests in flight are finished");
            stop.send_replace(Stop::Draining);
        }
        End::HandOver { given_up: places } => {
            given_up.add(&places);
            stop.send_replace(Stop::HandedOver);
            if development.is_quiet() {
                tracing::debug!("another generation has taken over: requests in flight are finished");
            } else {
                tracing::info!("another generation has taken over: requests in flight are finished");
            }
            // It answers for the server now.
            admin.stop().await;
        }
        End::Abort { reason } => {
            tracing::warn!(reason, "stopping at once");
            stop.send_replace(Stop::Aborting);
        }
    }
}

/// Ends all applications at once; gives the number of workers that were not done in time.
async fn end(applications: Vec<Running>) -> anyhow::Result<usize> {
    let mut stopping = JoinSet::new();
    for running in applications {
        stopping.spawn(running.workers.stop(END_TIME));
    }
    let mut stuck = 0;
    while let Some(stopped) = stopping.join_next().await {
        stuck += stopped.context("the stop ended")??;
    }
    Ok(stuck)
}
