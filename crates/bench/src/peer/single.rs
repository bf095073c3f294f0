//! The servers of Python applications that stand without a proxy, other than gunicorn.

use std::process::Command;

use super::{Abilities, Ability, Need, Peer, Setting};
use crate::scenario::Target;

pub(super) static GRANIAN: Peer = Peer {
    name: "granian",
    about: "granian, WSGI in worker processes",
    needs: &[Need::Package("granian")],
    abilities: Abilities(&[Ability::Applications, Ability::Files, Ability::Tls, Ability::Http2, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| {
        let mut command = setting.python("granian");
        command.args(["--interface", "wsgi", "--host", "127.0.0.1", "--port", &setting.port.to_string()]);
        command.args(["--workers", &setting.workers.to_string()]);
        command.args(["--blocking-threads", &setting.threads.to_string(), "--log-level", "warning"]);
        // Its bound counts connections, and those of one worker may be nearly all.
        let connections = setting.connections().max(1024).to_string();
        command.args(["--backlog", &setting.backlog.to_string(), "--backpressure", &connections]);
        if let Target::File(_) = setting.scenario.target {
            command.args(["--static-path-route", "/files", "--static-path-mount"]).arg(setting.site.files());
        }
        if setting.is_tls() {
            command.arg("--ssl-certificate").arg(setting.site.certificate());
            command.arg("--ssl-keyfile").arg(setting.site.key());
        }
        command.arg(setting.application());
        Ok(vec![command])
    },
};

pub(super) static UWSGI: Peer = Peer {
    name: "uwsgi",
    about: "uWSGI behind its own HTTP router, with keep-alive",
    needs: &[Need::Package("uwsgi")],
    abilities: Abilities(&[Ability::Applications, Ability::Files, Ability::Tls, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| {
        let mut command = setting.python("uwsgi");
        let address = setting.address();
        if setting.is_tls() {
            let (certificate, key) = (setting.site.certificate(), setting.site.key());
            command.args(["--https", &format!("{address},{},{}", certificate.display(), key.display())]);
        } else {
            command.args(["--http", &address]);
        }
        command.args(["--tcp-nodelay", "--http-keepalive=600", "--http-timeout=600", "--http-headers-timeout=600"]);
        command.args(["--http-processes", &setting.cpus.to_string(), "--listen", &setting.backlog.to_string()]);
        command.args(["--master", "--die-on-term", "--need-app", "--disable-logging", "--enable-threads"]);
        command.args(["--workers", &setting.workers.to_string(), "--threads", &setting.threads.to_string()]);
        command.arg("--virtualenv").arg(setting.programs.environment.folder());
        command.args(["--module", setting.application()]);
        if let Target::File(_) = setting.scenario.target {
            command.arg("--static-map").arg(format!("/files={}", setting.site.files().display()));
            command.args(["--offload-threads", &setting.cpus.to_string()]);
        }
        Ok(vec![command])
    },
};

pub(super) static BJOERN: Peer = Peer {
    name: "bjoern",
    about: "bjoern, forked for each worker; no threads",
    needs: &[Need::Package("bjoern")],
    abilities: Abilities(&[Ability::Applications, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| Ok(vec![script(setting, "serve_bjoern.py")]),
};

pub(super) static FASTPYSGI: Peer = Peer {
    name: "fastpysgi",
    about: "FastPySGI, forked for each worker; no threads",
    needs: &[Need::Package("fastpysgi")],
    abilities: Abilities(&[Ability::Applications, Ability::Tls, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| {
        let mut command = script(setting, "serve_fastpysgi.py");
        if setting.is_tls() {
            command.arg(setting.site.certificate()).arg(setting.site.key());
        }
        Ok(vec![command])
    },
};

/// A server that is started from Python.
fn script(setting: &Setting<'_>, name: &str) -> Command {
    let mut command = setting.python("python");
    command.args([name, &setting.port.to_string(), &setting.workers.to_string()]);
    command.args([&setting.backlog.to_string(), setting.application()]);
    command
}
