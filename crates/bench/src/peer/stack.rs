//! stack, in its two ways to use all CPUs.

use std::process::Command;

use super::{Abilities, Ability, Need, Peer, Setting};
use crate::Error;

const ABILITIES: Abilities =
    Abilities(&[Ability::Applications, Ability::Files, Ability::Tls, Ability::Http2, Ability::KeepAlive]);

pub(super) static INTERPRETERS: Peer = Peer {
    name: "stack",
    about: "stack, an interpreter for each worker",
    needs: &[Need::Stack],
    abilities: ABILITIES,
    is_quick: true,
    commands: |setting| serve(setting, "interpreters"),
};

pub(super) static PROCESSES: Peer = Peer {
    name: "stack-processes",
    about: "stack, a process for each worker",
    needs: &[Need::Stack],
    abilities: ABILITIES,
    is_quick: true,
    commands: |setting| serve(setting, "processes"),
};

fn serve(setting: &Setting<'_>, isolation: &str) -> Result<Vec<Command>, Error> {
    let program = setting
        .programs
        .stack
        .as_ref()
        .ok_or_else(|| Error::Missing { what: "stack".to_owned(), hint: "it was not built".to_owned() })?;
    let connections = setting.connections().to_string();
    let mut command = setting.command(program);
    command.args(["serve", "--bind", &setting.address(), "--app", setting.application(), "--isolation", isolation]);
    command.args(["--workers", &setting.workers.to_string(), "--threads", &setting.threads.to_string()]);
    command.arg("--chdir").arg(setting.site.apps());
    command.arg("--venv").arg(setting.programs.environment.folder());
    command.arg("--control-socket").arg(setting.folder.join("control.sock"));
    command.arg("--static").arg(format!("/files={}", setting.site.files().display()));
    command.args(["--backlog", &setting.backlog.to_string(), "--access-log", "off", "--django-static=false"]);
    // What a load asks for at a time has to fit, however long it waits: the others queue without an end.
    command.args(["--max-connections", &connections, "--queue-size", &connections, "--queue-target", "0"]);
    // h2load does not come back after a GOAWAY.
    command.args(["--idle-timeout", "10m", "--header-timeout", "10m", "--keepalive-requests", "0"]);
    if setting.is_tls() {
        command.arg("--tls-cert").arg(setting.site.certificate()).arg("--tls-key").arg(setting.site.key());
    }
    Ok(vec![command])
}
