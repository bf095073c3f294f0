//! `stack worker`: a worker process. It is started by a server, never by hand, and is not in the help.

use std::{num::NonZeroUsize, thread};

use anyhow::Context;
use stack_bridge::Jobs;
use stack_config::{AccessLog, Log};
use stack_interp::{Python, Runtime, RuntimeSettings, Venv, Version, widen_signal_stack};
use stack_process::worker::{Control, LargeBlocks, Start};
use stack_wsgi::{Worker, WorkerSettings, WorkerState};

use crate::{
    Exit, logging,
    start::spelled,
    worker_spec::{ProcessReport, WorkerSpec},
};

/// Runs jobs until the server has no more.
pub(crate) fn run() -> anyhow::Result<Exit> {
    let mut control = Control::from_stdin()?;
    let start = control.receive_start()?;
    leave_with_the_server(&control)?;
    let served = serve(start, &control);
    if let Err(error) = &served {
        // Where it can not be told the server sees the exit code.
        let _ = control.failed(&format!("{error:#}"));
        return Ok(Exit::Failure);
    }
    Ok(Exit::Success)
}

/// A server that is gone can not be answered: there is nothing to finish.
fn leave_with_the_server(control: &Control) -> anyhow::Result<()> {
    let control = control.try_clone().context("the control connection can not be shared")?;
    let watch = move || {
        widen_signal_stack();
        control.wait_for_end();
        Runtime::leave(Exit::Failure as u8)
    };
    thread::Builder::new().name("control".into()).spawn(watch).context("no thread for the control connection")?;
    Ok(())
}

fn serve(mut start: Start, control: &Control) -> anyhow::Result<()> {
    let spec: WorkerSpec = serde_json::from_str(&start.spec).context("the worker's specification")?;
    logging::init(&Log { level: spec.log_level, format: spec.log_format, access: AccessLog::Off })?;
    start.set_large_blocks(&LargeBlocks { threshold: spec.largest_block, directory: spec.temp_dir.clone() });
    let venv = Venv::find(spec.venv.as_deref(), None, spec.directory.as_ref(), Version::linked())?;
    let runtime = Runtime::start(&RuntimeSettings { venv })?;
    let live = |py: Python<'_>| live(py, &runtime, start, &spec, control);
    runtime.run_as_main_thread(live).expect("started on this thread")
}

fn live(py: Python<'_>, runtime: &Runtime, start: Start, spec: &WorkerSpec, control: &Control) -> anyhow::Result<()> {
    let Start { worker, spec: _, lanes, last_words } = start;
    py.prepare_process(&last_words).map_err(|raised| raised.into_exception(py)).context("no fault handler")?;
    let worker = Worker::new(WorkerSettings {
        id: worker,
        app: spec.app.clone(),
        directory: spec.directory.clone(),
        env: spec.env.clone(),
        threads: NonZeroUsize::new(lanes.len()).context("a worker without a lane")?,
        multiprocess: spec.multiprocess,
    });
    let cannot = || format!("the application {} can not be served", spelled(&spec.app));
    let report = worker.load(py).with_context(cannot)?;
    let load_ms = u64::try_from(report.load_time.as_millis()).unwrap_or(u64::MAX);
    let report = serde_json::to_string(&ProcessReport { load_ms, python: runtime.full_version() })?;
    let lanes = lanes.into_iter().map(|lane| Box::new(lane) as Box<dyn Jobs>).collect();
    let entered = |state| {
        tracing::debug!(?state, "worker state");
        if state == WorkerState::Ready {
            // A server that is gone ends this process by itself.
            let _ = control.ready(&report);
        }
    };
    Ok(worker.serve(py, runtime.main(), lanes, entered)?)
}
