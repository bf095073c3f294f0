//! What the log says at the start: what is served where, and with what.

use std::process;

use stack_config::{Bind, Config, ErrorDetails, Profile};
use stack_front::{CertificateReport, Listeners, Tls};
use stack_interp::Version;

use super::{Running, Started};
use crate::{
    isolation::Mode,
    start::{Plan, report_refusals, spelled},
    workers::shape,
};

/// What is served where, and with what.
pub(super) fn announce(started: &Started, listeners: &Listeners) {
    let Started { config, applications } = started;
    applications.iter().for_each(announce_application);
    let layout = config.layout();
    let several = layout.sites.len() > 1;
    for site in &layout.sites {
        if several {
            let hosts: Vec<_> = site.hosts.iter().map(ToString::to_string).collect();
            let app =
                site.application.and_then(|place| applications.get(place)).map(|running| spelled(&running.plan.app));
            let app = app.unwrap_or_else(|| "none".into());
            let hosts = (!hosts.is_empty()).then(|| hosts.join(" "));
            tracing::info!(site = site.name, hosts, default = site.is_default, app, "site");
        }
        for (prefix, place) in &site.mounts {
            let app = applications.get(*place).map(|running| spelled(&running.plan.app)).unwrap_or_default();
            tracing::info!(site = site.name, prefix, app, "mount");
        }
        for root in &site.statics {
            let prefix = root.prefix.as_deref().unwrap_or("/");
            let site = several.then_some(site.name.as_str());
            tracing::info!(site, prefix, directory = %root.directory.display(), "static files");
        }
    }
    for address in listeners.describe() {
        tracing::info!(address, "listening");
    }
    if config.lifecycle.changes.browser
        && let Some(url) = listeners.describe().iter().find_map(|address| for_browser(address))
    {
        tracing::info!(url, "open this in a browser; a saved file reloads");
    }
    for Running { plan: _, workers } in applications {
        if let Some(pool) = &workers.here {
            report_refusals(pool);
        }
    }
}

/// What a browser on this machine is given for an address: it can not go to all addresses at once.
fn for_browser(address: &str) -> Option<String> {
    let (scheme, host) = address.split_once("://").filter(|(_, host)| !host.starts_with("unix:"))?;
    let host = host.replacen("0.0.0.0", "localhost", 1).replacen("[::]", "localhost", 1);
    Some(format!("{scheme}://{host}/"))
}

/// Warns where more people than the developer may see what an application raised.
pub(super) fn announce_details(config: &Config) {
    let shown_to = config.clients.error_details;
    // In front of a server in production stands a proxy, as a rule, to which everybody may look local.
    let is_open = match (config.profile, shown_to) {
        (_, ErrorDetails::Off) | (Profile::Dev, ErrorDetails::Local) => false,
        (Profile::Prod, ErrorDetails::Local | ErrorDetails::All) => true,
        (Profile::Dev, ErrorDetails::All) => config.bind.iter().any(|endpoint| !is_of_this_machine(&endpoint.bind)),
    };
    if is_open {
        tracing::warn!(
            code = "STACK0740",
            profile = config.profile.as_str(),
            error_details = shown_to.as_str(),
            "clients may be shown source and variables of the application when it fails"
        );
    }
}

/// Whether nobody else can connect. What a socket is that was inherited, or who speaks through a Unix socket, nobody knows.
fn is_of_this_machine(bind: &Bind) -> bool {
    match bind {
        Bind::Tcp { addresses, .. } => addresses.iter().all(|address| address.ip().to_canonical().is_loopback()),
        Bind::Unix(_) | Bind::Fd(_) => false,
    }
}

fn announce_application(running: &Running) {
    let Running { plan, workers } = running;
    if let Some(because_of) = &plan.because_of {
        tracing::info!(app = spelled(&plan.app), because_of, "found the application");
    }
    let (count, threads) = shape(&plan.settings, workers.choice.mode);
    tracing::info!(
        app = spelled(&plan.app),
        at = (!plan.is_alone).then_some(plan.at.as_str()),
        directory = %plan.settings.chdir.display(),
        python = workers.python,
        venv = plan.venv_text(),
        isolation = workers.choice.mode.as_str(),
        workers = count,
        threads,
        pid = process::id(),
        "serving"
    );
    if workers.choice.why.is_some() {
        tracing::info!("{}", workers.choice.sentence(&plan.settings));
    }
    if workers.choice.mode == Mode::Threads {
        announce_threads(plan);
    }
}

/// What clients are shown, and where its trust comes from.
pub(super) fn announce_tls(tls: &Tls) {
    // Concerns are warned of from time to time, and first when serving begins.
    for CertificateReport { names, expires, path, concern: _ } in tls.certificates() {
        let file = path.map(|path| path.display().to_string());
        tracing::info!(names, expires, file, "certificate");
    }
    if let Some(ca) = tls.local_ca() {
        let certificate = ca.certificate_path();
        let news = if ca.is_new { "made a local certificate authority" } else { "local certificate authority" };
        tracing::info!(
            certificate = %certificate.display(),
            "{news}: browsers trust this server once they trust it; `stack ca` says how"
        );
    }
}

/// What somebody who chose threads should know.
fn announce_threads(plan: &Plan) {
    if !Version::linked().is_free_threaded() {
        tracing::info!("threads of one interpreter share its GIL: Python code runs on one core (isolation=threads)");
    }
    let workers = plan.settings.workers;
    if plan.settings.workers_given {
        tracing::info!(workers, "workers has no effect: the threads run in one interpreter");
    }
}
