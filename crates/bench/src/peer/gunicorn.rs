//! gunicorn, alone. Its HTTP/2 is a beta, which with threads leaves h2load without an answer.

use std::process::Command;

use super::{Abilities, Ability, Need, Peer, Setting};

pub(super) static THREADS: Peer = Peer {
    name: "gunicorn",
    about: "gunicorn with threads (gthread), without a proxy",
    needs: &[Need::Package("gunicorn")],
    abilities: Abilities(&[Ability::Applications, Ability::Tls, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| {
        let mut command = threads(setting);
        command.args(["--bind", &setting.address()]);
        Ok(vec![with_tls(setting, command)])
    },
};

pub(super) static SYNC: Peer = Peer {
    name: "gunicorn-sync",
    about: "gunicorn with its default workers (sync), without a proxy",
    needs: &[Need::Package("gunicorn")],
    abilities: Abilities(&[Ability::Applications, Ability::Tls]),
    is_quick: false,
    commands: |setting| {
        let mut command = common(setting);
        command.args(["--worker-class", "sync", "--bind", &setting.address()]);
        Ok(vec![with_tls(setting, command)])
    },
};

/// With threads, and without an address.
pub(super) fn threads(setting: &Setting<'_>) -> Command {
    let mut command = common(setting);
    command.args(["--worker-class", "gthread", "--threads", &setting.threads.to_string()]);
    command.args(["--worker-connections", &setting.connections().max(1000).to_string(), "--keep-alive", "600"]);
    command
}

fn common(setting: &Setting<'_>) -> Command {
    let mut command = setting.python("gunicorn");
    // The control socket would be one of the user's.
    command.args(["--workers", &setting.workers.to_string(), "--no-control-socket", "--log-level", "warning"]);
    command.args(["--backlog", &setting.backlog.to_string(), setting.application()]);
    command
}

fn with_tls(setting: &Setting<'_>, mut command: Command) -> Command {
    if setting.is_tls() {
        command.arg("--certfile").arg(setting.site.certificate()).arg("--keyfile").arg(setting.site.key());
    }
    command
}
