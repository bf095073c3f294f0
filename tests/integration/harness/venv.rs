//! A virtual environment with the packages of `tests/requirements.txt`, made once and shared by all runs.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::tests_path;

/// The Python that the executable is linked with.
const LINKED_PYTHON: &str = env!("LINKED_PYTHON_EXECUTABLE");

/// The environment's folder. Made on the first call, under the build's target directory, and kept there for the next
/// run; a change of the Python or of the requirements makes another.
pub(crate) fn virtual_environment() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let requirements = tests_path("requirements.txt");
        let version =
            run(Command::new(LINKED_PYTHON).args(["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]));
        let mut hash = DefaultHasher::new();
        (LINKED_PYTHON, fs::read(&requirements).expect("part of the project")).hash(&mut hash);
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let folder = parent.join(format!("venv-{version}-{:016x}", hash.finish()));
        fs::create_dir_all(parent).expect("a writable target directory");
        // Another test binary or another run may be at it: the lock is released with the file, even after a crash.
        let lock = File::create(folder.with_extension("lock")).expect("a writable target directory");
        lock.lock().expect("a file system with locks");
        let complete = folder.join("complete");
        if !complete.exists() {
            make(&folder, &requirements);
            File::create(complete).expect("a writable target directory");
        }
        folder
    })
}

fn make(folder: &Path, requirements: &Path) {
    run(Command::new(LINKED_PYTHON).args(["-m", "venv", "--clear"]).arg(folder));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement"];
    run(Command::new(folder.join("bin/python")).args(pip).arg(requirements));
}

/// Runs a program that prepares a test, in the environment of the one who tests, less what misleads Python.
pub(crate) fn run(command: &mut Command) -> String {
    command.env_remove("PYTHONHOME").env_remove("PYTHONPATH").env_remove("VIRTUAL_ENV");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.trim().to_owned()
}
