//! What no server can go below.

use std::{env, process::Command};

use super::{Abilities, Ability, Peer, Setting};
use crate::Error;

pub(super) static FLOOR: Peer = Peer {
    name: "floor",
    about: "no server: a program that reads and writes the same bytes and does nothing else",
    needs: &[],
    abilities: Abilities(&[Ability::Hello, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| Ok(vec![command(setting)?]),
};

fn command(setting: &Setting<'_>) -> Result<Command, Error> {
    let program = env::current_exe().map_err(Error::system("this program is not found"))?;
    let mut command = Command::new(program);
    command.args(["--serve-floor", &setting.port.to_string(), "--workers", &setting.workers.to_string()]);
    command.args(["--backlog", &setting.backlog.to_string()]);
    Ok(command)
}
