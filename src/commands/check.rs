//! `stack check`: everything up to serving, without a socket.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use stack_config::{Config, Endpoint, Loaded, TlsMode, Transport};
use stack_front::{CertificateReport, Tls};

use crate::{
    Exit,
    django::{self, Decided},
    isolation::{self, Choice, Mode, Tried},
    logging,
    start::{Plan, can_be_preloaded, spelled},
    workers::shape,
};

/// Imports each application as a worker does, in a process that is thrown away, and says what would be served.
pub(crate) fn run(loaded: Loaded) -> anyhow::Result<Exit> {
    let config = loaded.config;
    logging::init(&config.log)?;
    let plans = Plan::all(&config)?;
    let tls = if can_load(&config) { Tls::load(&config.tls, &config.bind, config.limits.http2)? } else { None };
    let mut text = String::new();
    let (mut imported_in, mut found) = (Duration::ZERO, Vec::new());
    for plan in &plans {
        let (choice, tried) = isolation::decide_and_try(plan)?;
        if plan.settings.preload {
            can_be_preloaded(&plan.app, &tried.import.threads)?;
        }
        imported_in += tried.import.load_time;
        application(&mut text, plan, &choice, &tried)?;
        found.push((plan, tried.import.directories));
    }
    listeners(&mut text, &config, tls.as_ref())?;
    let found: Vec<_> = found.iter().map(|(plan, directories)| (*plan, directories.as_slice())).collect();
    sites(&mut text, &config, &plans, &django::decide(&config, &found))?;
    if plans.is_empty() {
        writeln!(text, "no application; all is well")?;
    } else {
        writeln!(text, "imported in {} ms; all is well", imported_in.as_millis())?;
    }
    super::print(text.as_bytes())?;
    Ok(Exit::Success)
}

fn application(text: &mut String, plan: &Plan, choice: &Choice, tried: &Tried) -> fmt::Result {
    let because_of = plan.because_of.as_ref().map(|file| format!(" (found by {file})")).unwrap_or_default();
    writeln!(text, "application  {}{because_of} in {}", spelled(&plan.app), plan.settings.chdir.display())?;
    if !plan.is_alone {
        writeln!(text, "serves       {}", plan.at)?;
    }
    writeln!(text, "python       {}, virtual environment {}", tried.python.version, plan.venv_text())?;
    writeln!(text, "isolation    {}", choice.sentence(&plan.settings))?;
    let (workers, threads) = shape(&plan.settings, choice.mode);
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
    Ok(())
}

/// A check leaves no traces: a local authority that is not there yet is left to the start.
fn can_load(config: &Config) -> bool {
    config.tls.mode != TlsMode::SelfSigned || config.tls.local_ca.as_ref().is_some_and(|directory| directory.exists())
}

fn listeners(text: &mut String, config: &Config, tls: Option<&Tls>) -> fmt::Result {
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
    Ok(())
}

fn sites(text: &mut String, config: &Config, plans: &[Plan], of_projects: &[Decided]) -> fmt::Result {
    let layout = config.layout();
    let several = layout.sites.len() > 1;
    let spelled = |place: usize| plans.get(place).map_or_else(|| "none".into(), |plan| spelled(&plan.app));
    for (place, site) in layout.sites.iter().enumerate() {
        if several {
            let hosts: Vec<_> = site.hosts.iter().map(ToString::to_string).collect();
            let default = if site.is_default { " default" } else { "" };
            let app = site.application.map_or_else(|| "none".into(), spelled);
            let named = format!("{}{default}", hosts.join(" "));
            writeln!(text, "site         {} = {app}", named.trim_start())?;
        }
        for (prefix, place) in &site.mounts {
            writeln!(text, "mount        {prefix} = {}", spelled(*place))?;
        }
        for root in &site.statics {
            writeln!(text, "static       {} = {}", root.prefix.as_deref().unwrap_or("/"), root.directory.display())?;
        }
        for it in of_projects.iter().filter(|it| it.site == place) {
            let (prefix, directory, setting) = (&it.prefix, it.directory.display(), it.setting());
            match &it.left {
                None => writeln!(text, "static       {prefix} = {directory} ({setting})")?,
                Some(left) => writeln!(text, "not static   {prefix} = {directory} ({setting}): {left}")?,
            }
        }
    }
    Ok(())
}
