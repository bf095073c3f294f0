//! `stack check`: everything up to serving, without a socket.

use std::fmt::Write;

use stack_config::{Config, Endpoint, Loaded, TlsMode, Transport};
use stack_front::{CertificateReport, Tls};

use crate::{
    Exit,
    isolation::{self, Choice, Mode, Tried},
    logging,
    start::{Plan, can_be_preloaded, spelled},
    workers::shape,
};

/// Imports the application as a worker does, in a process that is thrown away, and says what would be served.
pub(crate) fn run(loaded: Loaded) -> anyhow::Result<Exit> {
    let config = loaded.config;
    logging::init(&config.log)?;
    let plan = Plan::make(&config)?;
    let tls = if can_load(&config) { Tls::load(&config.tls, &config.bind)? } else { None };
    let choice = isolation::decide(&config, &plan)?;
    let tried = isolation::try_import(&isolation::application(&config, &plan)?, choice.mode)
        .map_err(|failure| isolation::can_not_be_served(&plan, format!("importing it {failure}")))?;
    if let Some(failure) = tried.import.failure {
        return Err(isolation::can_not_be_served(&plan, failure.text));
    }
    if config.preload {
        can_be_preloaded(&plan.app, &tried.import.threads)?;
    }
    super::print(summary(&config, &plan, &choice, &tried, tls.as_ref())?.as_bytes())?;
    Ok(Exit::Success)
}

/// A check leaves no traces: a local authority that is not there yet is left to the start.
fn can_load(config: &Config) -> bool {
    config.tls.mode != TlsMode::SelfSigned || config.tls.local_ca.as_ref().is_some_and(|directory| directory.exists())
}

fn summary(
    config: &Config,
    plan: &Plan,
    choice: &Choice,
    tried: &Tried,
    tls: Option<&Tls>,
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let because_of = plan.because_of.as_ref().map(|file| format!(" (found by {file})")).unwrap_or_default();
    writeln!(text, "application  {}{because_of} in {}", spelled(&plan.app), config.chdir.display())?;
    writeln!(text, "python       {}, virtual environment {}", tried.python.version, plan.venv_text())?;
    writeln!(text, "isolation    {}", choice.sentence(config))?;
    let (workers, threads) = shape(config, choice.mode);
    writeln!(text, "workers      {workers} with {threads} threads each")?;
    if choice.mode == Mode::Interpreters {
        for (modules, fate) in
            [(&tried.import.replaced, "run as pure Python"), (&tried.import.left_out, "count as not installed")]
        {
            if !modules.is_empty() {
                writeln!(text, "extensions   {} {fate}, for want of support for interpreters", modules.join(", "))?;
            }
        }
    }
    for Endpoint { bind, transport } in &config.bind {
        let encrypted = match transport {
            Transport::Plain => "",
            Transport::Tls => ", with TLS",
            Transport::TlsOnTcp => ", with TLS if it is a TCP socket",
        };
        writeln!(text, "listen       {bind}{encrypted}")?;
    }
    for CertificateReport { names, expires, path, concern } in tls.map(Tls::certificates).unwrap_or_default() {
        let file = path.map_or_else(|| "made at the start".to_owned(), |path| path.display().to_string());
        let concern = concern.map(|concern| format!("; {concern}!")).unwrap_or_default();
        writeln!(text, "certificate  {names}; until {expires}; {file}{concern}")?;
    }
    for root in &config.statics {
        writeln!(text, "static       {} = {}", root.prefix.as_deref().unwrap_or("/"), root.directory.display())?;
    }
    writeln!(text, "imported in {} ms; all is well", tried.import.load_time.as_millis())?;
    Ok(text)
}
