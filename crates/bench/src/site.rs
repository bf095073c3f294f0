//! What is served: applications, files, a certificate, and what each answer has to be. Made anew for each run.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::CertificateDer,
};
use tempfile::TempDir;

use crate::{
    Error,
    client::{Endpoint, Request},
    install::Environment,
    process::{Cpus, Starter, make_folder},
    scenario::{Protocol, Scenario, Target},
};

/// What an echo sends, in bytes.
pub(crate) const ECHO_SIZE: usize = 10_000;
const FILES: &[(&str, usize)] = &[("1k.bin", 1_000), ("100k.bin", 100_000), ("10m.bin", 10_000_000)];
/// How long an application may take to answer without a server.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a run serves. It is gone with the run.
#[derive(Debug)]
pub(crate) struct Site {
    folder: TempDir,
    /// The applications' folder.
    apps: PathBuf,
    /// Variables of the applications.
    variables: Vec<(&'static str, String)>,
    tls: Arc<ClientConfig>,
}

/// What a scenario asks for, and what has to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) request: Request,
    /// The same with `Connection: close`.
    pub(crate) last_request: Request,
    pub(crate) body: Vec<u8>,
    /// A file with the body.
    pub(crate) path: PathBuf,
}

impl Site {
    pub(crate) fn make(sources: &Path, environment: &Environment, starter: &Starter) -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(Error::system("there is no folder for temporary files"))?;
        // nginx, started by root, reads files as nobody.
        let everybody = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), everybody).map_err(Error::file(folder.path()))?;
        // A copy: what Python compiles is not left between the sources.
        let apps = folder.path().join("apps");
        copy(sources, &apps)?;
        make_folder(&folder.path().join("files"))?;
        for (name, size) in FILES {
            write(&folder.path().join("files").join(name), &pattern(*size))?;
        }
        write(&folder.path().join("echo.bin"), &pattern(ECHO_SIZE))?;
        let tls = certificate(folder.path())?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let variables = vec![("BENCH_DATABASE", path("shelf.sqlite3"))];
        let mut site = Self { folder, apps, variables, tls };
        let rounds = site.python(environment, starter, &["reference.py", "--rounds"])?;
        site.variables.push(("BENCH_ROUNDS", String::from_utf8_lossy(&rounds).trim().to_owned()));
        site.python(environment, starter, &["-m", "shelf.fill"])?;
        Ok(site)
    }

    /// What a scenario's answer has to be: the file, or what the application answers without a server.
    pub(crate) fn expect(
        &self,
        scenario: &Scenario,
        environment: &Environment,
        starter: &Starter,
    ) -> Result<Expectation, Error> {
        let (path, posted) = match scenario.target {
            Target::File(name) => (self.files().join(name), None),
            Target::Echo(_) => (self.echo(), Some(pattern(ECHO_SIZE))),
            Target::Application(name) => {
                let path = self.folder.path().join(format!("{}.expected", scenario.name));
                write(&path, &self.python(environment, starter, &["reference.py", name])?)?;
                (path, None)
            }
        };
        let body = fs::read(&path).map_err(Error::file(&path))?;
        let request = |keep| Request::new(&scenario.target.path(), posted.as_deref(), keep);
        Ok(Expectation { request: request(true), last_request: request(false), body, path })
    }

    /// Python with the applications, and what it writes to standard output.
    fn python(&self, environment: &Environment, starter: &Starter, arguments: &[&str]) -> Result<Vec<u8>, Error> {
        let result = self.folder.path().join("result");
        // Standard error is for what went wrong.
        let mut command = Command::new("sh");
        command.args(["-c", "result=$1; shift; exec \"$@\" > \"$result\"", "sh"]).arg(&result);
        command.arg(environment.program("python").path()).args(arguments);
        self.prepare(&mut command);
        starter.run("python", command, &Cpus::All, PATIENCE)?;
        fs::read(&result).map_err(Error::file(&result))
    }

    /// Puts a command into the applications' folder, with their variables.
    pub(crate) fn prepare(&self, command: &mut Command) {
        command.current_dir(&self.apps);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    pub(crate) fn apps(&self) -> &Path {
        &self.apps
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// The body of an echo.
    pub(crate) fn echo(&self) -> PathBuf {
        self.folder.path().join("echo.bin")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// A folder of a server's own.
    pub(crate) fn server_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.folder.path().join(name);
        make_folder(&folder)?;
        Ok(folder)
    }

    /// For temporary files of the run.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where a server on this port is asked, in HTTP/1.1.
    pub(crate) fn endpoint(&self, port: u16, protocol: Protocol) -> Endpoint {
        let tls = protocol.is_tls().then(|| Arc::clone(&self.tls));
        Endpoint { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), tls }
    }
}

/// A certificate of its own for localhost, ECDSA as most sites have today, and clients that trust it and resume no session. They
/// offer one key exchange, which every server has: else those with one that is safe from quantum computers would be asked for
/// several times the work of the others.
fn certificate(folder: &Path) -> Result<Arc<ClientConfig>, Error> {
    let tls = |error: &dyn std::error::Error| Error::Tls(error.to_string());
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| tls(&error))?;
    write(&folder.join("certificate.pem"), made.cert.pem().as_bytes())?;
    write(&folder.join("key.pem"), made.signing_key.serialize_pem().as_bytes())?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).map_err(|error| tls(&error))?;
    let provider =
        Arc::new(CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519], ..aws_lc_rs::default_provider() });
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.map_err(|error| tls(&error))?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    make_folder(to)?;
    for entry in fs::read_dir(from).map_err(Error::file(from))?.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(Error::file(source))?;
        }
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    fs::write(path, content).map_err(Error::file(path))
}

/// Bytes that do not compress and of which no part looks like another.
fn pattern(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_written_and_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let config = certificate(folder.path()).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
        let key = fs::read_to_string(folder.path().join("key.pem")).unwrap();
        // PKCS#8: granian takes no other.
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "{key}");
    }

    #[test]
    fn a_pattern_does_not_repeat() {
        let bytes = pattern(4096);
        assert_eq!(bytes.len(), 4096);
        assert!(bytes.windows(16).skip(1).all(|window| window != &bytes[..16]));
    }
}
