//! `stack check`: everything up to serving, without a socket.

use std::fmt::Write;

use stack_bridge::Queue;
use stack_config::{Bind, Config, Loaded};
use stack_interp::Runtime;
use stack_wsgi::Place;

use crate::{
    Exit, logging,
    start::{Plan, report_refusals, spelled},
};

/// Imports the application in one worker and says what would be served.
pub(crate) fn run(loaded: Loaded) -> anyhow::Result<Exit> {
    let mut config = loaded.config;
    logging::init(&config.log)?;
    let plan = Plan::make(&config)?;
    let python = plan.start_python()?;
    let summary = summary(&config, &plan, &python)?;
    // One import shows what each would.
    config.workers = std::num::NonZeroUsize::MIN;
    config.threads = std::num::NonZeroUsize::MIN;
    let pool = plan.start_pool(&config, Place::OwnInterpreters(config.workers), &python, Queue::new(1))?;
    report_refusals(&pool);
    let load_time = pool.reports().first().map(|report| report.load_time).unwrap_or_default();
    super::print(format!("{summary}imported in {} ms; all is well\n", load_time.as_millis()).as_bytes())?;
    Ok(Exit::Success)
}

fn summary(config: &Config, plan: &Plan, python: &Runtime) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let because_of = plan.because_of.as_ref().map(|file| format!(" (found by {file})")).unwrap_or_default();
    writeln!(text, "application  {}{because_of} in {}", spelled(&plan.app), config.chdir.display())?;
    writeln!(text, "python       {}, virtual environment {}", python.full_version(), plan.venv_text())?;
    writeln!(text, "workers      {} with {} threads each", config.workers, config.threads)?;
    for bind in &config.bind {
        let address = match bind {
            Bind::Tcp { written, addresses: _ } => written.clone(),
            Bind::Unix(path) => format!("unix:{}", path.display()),
            Bind::Fd(number) => format!("fd://{number}"),
        };
        writeln!(text, "listen       {address}")?;
    }
    for root in &config.statics {
        writeln!(text, "static       {} = {}", root.prefix.as_deref().unwrap_or("/"), root.directory.display())?;
    }
    Ok(text)
}
