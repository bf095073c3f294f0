//! `.cargo/python`: which Python a build is linked with.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// A folder of stand-ins for Python. What the real ones answer to the finder's question is `MINOR EXECUTABLE`, with a `t`
/// behind the number of a free-threaded one, or nothing where they can not be linked with; run with arguments they say who
/// they are.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().expect("a temporary folder"));
        for folder in ["bin", "pyenv", "uv"] {
            fs::create_dir(machine.0.path().join(folder)).expect("a new folder");
        }
        machine
    }

    fn python(&self, path: &str, minor: Option<u32>) -> &Self {
        self.stand_in(path, minor.map(|minor| minor.to_string()).as_deref())
    }

    fn free_threaded(&self, path: &str, minor: u32) -> &Self {
        self.stand_in(path, Some(&format!("{minor}t")))
    }

    fn stand_in(&self, path: &str, number: Option<&str>) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let answer = number.map(|number| format!("echo {number} {}", path.display())).unwrap_or_default();
        let script = format!("#!/bin/sh\nif [ \"$1\" = - ]; then {answer}\nelse echo {}\nfi\n", path.display());
        let script = script.replace("then \n", "then :\n");
        fs::write(&path, script).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        self
    }

    fn find(&self, virtual_env: Option<&str>) -> Output {
        let folder = |name: &str| self.0.path().join(name);
        let mut finder = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/python"));
        finder.arg("--version").env_clear().env("HOME", folder("nobody"));
        finder.env("PATH", format!("{}:/usr/bin:/bin", folder("bin").display()));
        finder.env("PYENV_ROOT", folder("pyenv")).env("UV_PYTHON_INSTALL_DIR", folder("uv"));
        // The machine's own must not be seen behind the stand-ins.
        let names = (11..=15).flat_map(|minor| [format!("bin/python3.{minor}"), format!("bin/python3.{minor}t")]);
        for name in names {
            if !self.0.path().join(&name).exists() {
                self.python(&name, None);
            }
        }
        if !folder("bin/python3").exists() {
            self.python("bin/python3", None);
        }
        if let Some(name) = virtual_env {
            finder.env("VIRTUAL_ENV", folder(name));
        }
        finder.output().expect("the finder runs")
    }

    fn found(&self, virtual_env: Option<&str>) -> String {
        let output = self.find(virtual_env);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = String::from_utf8(output.stdout).expect("a path");
        let root = format!("{}/", self.0.path().display());
        path.trim().strip_prefix(&root).expect("one of the stand-ins").to_owned()
    }
}

#[test]
fn the_newest_on_the_path_is_taken() {
    let machine = Machine::new();
    machine.python("bin/python3", Some(11)).python("bin/python3.13", Some(13)).python("bin/python3.14", Some(14));
    assert_eq!(machine.found(None), "bin/python3.14");
}

#[test]
fn a_default_python_that_is_too_old_gives_way_to_a_newer_one_elsewhere() {
    let machine = Machine::new();
    machine.python("bin/python3", Some(11)).python("pyenv/versions/3.13.0/bin/python3", Some(13));
    assert_eq!(machine.found(None), "pyenv/versions/3.13.0/bin/python3");
    machine
        .python("pyenv/versions/3.14.10/bin/python3", Some(14))
        .python("pyenv/versions/3.14.9/bin/python3", Some(14));
    assert_eq!(machine.found(None), "pyenv/versions/3.14.10/bin/python3");
}

#[test]
fn uv_keeps_pythons_too() {
    let machine = Machine::new();
    machine.python("uv/cpython-3.14.2-linux-x86_64-gnu/bin/python3", Some(14));
    assert_eq!(machine.found(None), "uv/cpython-3.14.2-linux-x86_64-gnu/bin/python3");
}

#[test]
fn an_active_environment_goes_first_unless_it_is_too_old() {
    let machine = Machine::new();
    machine.python("bin/python3.14", Some(14)).python("new/bin/python3", Some(13)).python("old/bin/python3", Some(12));
    assert_eq!(machine.found(Some("new")), "new/bin/python3");
    assert_eq!(machine.found(Some("old")), "bin/python3.14");
}

#[test]
fn an_ordinary_one_goes_before_free_threaded_ones_and_those_before_older_ones() {
    let machine = Machine::new();
    machine
        .python("bin/python3.12", Some(12))
        .free_threaded("bin/python3.14t", 14)
        .free_threaded("pyenv/versions/3.15.0t/bin/python3", 15);
    assert_eq!(machine.found(None), "bin/python3.14t");
    machine
        .free_threaded("uv/cpython-3.14.2+freethreaded-linux-x86_64-gnu/bin/python3", 14)
        .python("uv/cpython-3.14.2-linux-x86_64-gnu/bin/python3", Some(14));
    assert_eq!(machine.found(None), "uv/cpython-3.14.2-linux-x86_64-gnu/bin/python3");
}

#[test]
fn a_free_threaded_one_is_taken_from_the_active_environment_or_where_it_is_the_only_one() {
    let machine = Machine::new();
    machine.free_threaded("uv/cpython-3.14.2+freethreaded-linux-x86_64-gnu/bin/python3", 14);
    assert_eq!(machine.found(None), "uv/cpython-3.14.2+freethreaded-linux-x86_64-gnu/bin/python3");
    machine.python("bin/python3.14", Some(14)).free_threaded("active/bin/python3", 14);
    assert_eq!(machine.found(None), "bin/python3.14");
    assert_eq!(machine.found(Some("active")), "active/bin/python3");
}

#[test]
fn an_older_one_is_taken_where_there_is_no_other() {
    let machine = Machine::new();
    machine.python("bin/python3.12", Some(12)).python("bin/python3", Some(11));
    assert_eq!(machine.found(None), "bin/python3.12");
}

#[test]
fn without_any_the_build_stops_and_says_what_to_install() {
    let output = Machine::new().find(None);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    for part in ["shared libpython", "apt install python3-dev", "uv python install", "PYO3_PYTHON="] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}
