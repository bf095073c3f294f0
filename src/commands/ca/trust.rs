//! `stack ca trust`: puts the certificate where this system and this user's browsers look.

use std::{
    env,
    ffi::OsStr,
    fmt::Write,
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context;
use stack_front::LocalCa;

use crate::{Exit, commands};

/// How it is called in stores that have names.
const NAME: &str = "stack-local-ca";

/// Where systems take further authorities from, and what they run then.
const SYSTEM_STORES: [(&str, &str, &[&str]); 2] = [
    ("/usr/local/share/ca-certificates", "crt", &["update-ca-certificates"]),
    ("/etc/pki/ca-trust/source/anchors", "pem", &["update-ca-trust", "extract"]),
];

/// Trusts the authority wherever that can be done from here, and says where it was.
pub(super) fn run(ca: &LocalCa) -> anyhow::Result<Exit> {
    let certificate = ca.certificate_path();
    let mut outcomes = Vec::new();
    outcomes.extend(system(&certificate));
    outcomes
        .extend(nss_databases().iter().map(|database| (database.display().to_string(), nss(database, &certificate))));
    let mut text = String::new();
    for (place, outcome) in &outcomes {
        match outcome {
            Ok(()) => writeln!(text, "trusted in {place}")?,
            Err(error) => writeln!(text, "not trusted in {place}: {error:#}")?,
        }
    }
    let trusted = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    if trusted == 0 {
        text.push_str("`stack ca` says how to do it by hand\n");
    }
    commands::print(text.as_bytes())?;
    Ok(if trusted > 0 { Exit::Success } else { Exit::Failure })
}

/// The store of the system, which belongs to root.
fn system(certificate: &Path) -> Option<(String, anyhow::Result<()>)> {
    let (folder, extension, update) =
        SYSTEM_STORES.into_iter().find(|(folder, _, update)| Path::new(folder).is_dir() && is_installed(update[0]))?;
    let target = Path::new(folder).join(NAME).with_extension(extension);
    let copied = copy_for_all(certificate, &target).with_context(|| {
        format!(
            "{} can not be written; as root, run XDG_DATA_HOME={} stack ca trust",
            target.display(),
            home_of(certificate)
        )
    });
    Some((folder.to_owned(), copied.and_then(|()| command(update))))
}

/// A certificate is no secret, other than the key beside it.
fn copy_for_all(certificate: &Path, target: &Path) -> io::Result<()> {
    fs::write(target, fs::read(certificate)?)?;
    fs::set_permissions(target, Permissions::from_mode(0o644))
}

/// What `XDG_DATA_HOME` has to be for another user to find the same authority: it is in `stack/local-ca` there.
fn home_of(certificate: &Path) -> String {
    certificate.ancestors().nth(3).map_or_else(String::new, |home| home.display().to_string())
}

/// The databases of this user's browsers.
fn nss_databases() -> Vec<PathBuf> {
    let Some(home) = env::var_os("HOME").map(PathBuf::from).filter(|_| is_installed("certutil")) else {
        return Vec::new();
    };
    let profiles = [".mozilla/firefox", "snap/firefox/common/.mozilla/firefox"];
    let profiles = profiles.iter().filter_map(|folder| fs::read_dir(home.join(folder)).ok()).flatten().flatten();
    let shared = home.join(".pki/nssdb");
    let databases = profiles.map(|profile| profile.path()).chain([shared]);
    databases.filter(|folder| folder.join("cert9.db").exists()).collect()
}

fn nss(database: &Path, certificate: &Path) -> anyhow::Result<()> {
    let database = format!("sql:{}", database.display());
    // One of the same name from an earlier authority would be kept beside it.
    let _ = run_quietly(["certutil", "-d", &database, "-D", "-n", NAME].map(OsStr::new));
    let arguments = ["certutil", "-d", &database, "-A", "-t", "C,,", "-n", NAME, "-i"];
    run_quietly(arguments.map(OsStr::new).into_iter().chain([certificate.as_os_str()]))
}

fn command(line: &[&str]) -> anyhow::Result<()> {
    run_quietly(line.iter().map(OsStr::new))
}

fn run_quietly<'a>(line: impl IntoIterator<Item = &'a OsStr>) -> anyhow::Result<()> {
    let mut words = line.into_iter();
    let program = words.next().expect("a program");
    let name = program.to_string_lossy();
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{name} can not be started"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{name} failed: {}", said.trim());
    Ok(())
}

fn is_installed(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    // Programs for root are not on everybody's path.
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&folders).chain(system).any(|folder| folder.join(program).is_file())
}
