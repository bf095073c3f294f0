//! Where the supervisor of a configuration is found, and whether sockets were passed on to it.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use rustix::process::{geteuid, getppid};
use stack_config::{ControlSocket, DEFAULT_FILE, Loaded, Located};
use stack_supervisor::ControlPath;

/// Where the supervisor takes commands.
pub(crate) fn to_bind(loaded: &Loaded) -> Option<ControlPath> {
    match &loaded.config.lifecycle.control_socket {
        ControlSocket::Off => None,
        ControlSocket::Path(path) => Some(ControlPath { path: path.clone(), is_named: true }),
        ControlSocket::Default => {
            let directory = directories().into_iter().find(|directory| is_ours(directory));
            directory.map(|directory| ControlPath { path: directory.join(name(loaded.file())), is_named: false })
        }
    }
}

/// Where it may be found, the likeliest place first: the variables of who asks may not be those of who started it.
pub(crate) fn to_ask(located: &Located) -> Vec<PathBuf> {
    let name = || name(located.file.as_deref());
    match &located.control_socket {
        ControlSocket::Off => Vec::new(),
        ControlSocket::Path(path) => vec![path.clone()],
        ControlSocket::Default => directories().into_iter().map(|directory| directory.join(name())).collect(),
    }
}

/// Directories that are this user's, and gone with the machine.
fn directories() -> Vec<PathBuf> {
    let user = geteuid().as_raw();
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let of_session = Some(PathBuf::from(format!("/run/user/{user}")));
    let of_root = (user == 0).then(|| PathBuf::from("/run"));
    let mut directories: Vec<PathBuf> = [runtime, of_session, of_root]
        .into_iter()
        .flatten()
        .filter(|path| path.is_dir())
        .map(|path| path.join("stack"))
        .collect();
    directories.push(env::temp_dir().join(format!("stack-{user}")));
    directories.dedup();
    directories
}

/// Makes the directory if it is not there. One that somebody else could write into is none.
fn is_ours(directory: &Path) -> bool {
    let _ = fs::DirBuilder::new().mode(0o700).create(directory);
    fs::symlink_metadata(directory)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o022 == 0)
}

/// A name that belongs to the configuration file or, without one, to the current directory.
fn name(file: Option<&Path>) -> String {
    // The file that is found without being named may come and go.
    let named = file.filter(|file| *file != Path::new(DEFAULT_FILE));
    let place = named.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let place = place.canonicalize().unwrap_or(place);
    format!("{:016x}.sock", hash(place.as_os_str().as_encoded_bytes()))
}

/// FNV-1a: the same in each version of this program.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whether a service manager has passed sockets to this process, or to the supervisor whose server it is (`LISTEN_PID`).
pub(crate) fn has_sockets() -> bool {
    let meant = env::var("LISTEN_PID").ok().and_then(|pid| pid.parse::<u32>().ok());
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    let is_server = env::args_os().nth(1).is_some_and(|name| name == crate::cli::SERVER);
    meant.is_some_and(|pid| pid == std::process::id() || (is_server && parent == Some(pid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_directory_that_others_can_write_into_is_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("stack");
        assert!(is_ours(&directory));
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(!is_ours(&directory));
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(!is_ours(&link));
    }
}
