//! Tells this crate, and through `DEP_STACK_PYTHON_…` the build scripts of those above it, which Python is linked.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What every interpreter runs first. The name in its code objects is the one that `bootstrap.rs` knows it by.
const BOOTSTRAP: (&str, &str) = ("src/bootstrap.py", "<stack>");

/// Writes the magic number of this Python's bytecode and then the code, as a `.pyc` has them.
const COMPILE: &str = "
import importlib.util, marshal, sys
source, name, target = sys.argv[1:]
with open(source, encoding='utf-8') as file:
    code = compile(file.read(), name, 'exec')
with open(target, 'wb') as file:
    file.write(importlib.util.MAGIC_NUMBER + marshal.dumps(code))
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=VIRTUAL_ENV");
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    let executable = python.executable().unwrap_or_default();
    println!("cargo:rustc-env=STACK_PYTHON_VERSION={}.{}", python.version().major, python.version().minor);
    println!("cargo:rustc-env=STACK_PYTHON_EXECUTABLE={executable}");
    println!("cargo:executable={executable}");
    println!("cargo:libdir={}", python.lib_dir().unwrap_or_default());
    compile_bootstrap(executable);
    warn_of_another_python(executable);
}

/// Compiles what every interpreter runs, which takes each as long as half of an empty interpreter. Where this Python can not
/// be run, they do it for themselves.
fn compile_bootstrap(python: &str) {
    let (source, name) = BOOTSTRAP;
    println!("cargo:rerun-if-changed={source}");
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("bootstrap.code");
    fs::write(&target, "").expect("the output directory can be written to");
    let compiled = Command::new(python).args(["-I", "-S", "-c", COMPILE, source, name]).arg(&target).status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("cargo:warning={source} can not be compiled by {python}: interpreters will start more slowly");
    }
}

/// Cargo does not build pyo3-ffi again when another virtual environment is active: then the linked Python stays.
fn warn_of_another_python(linked: &str) {
    let chosen = env::var_os("PYO3_PYTHON").filter(|python| Path::new(python).exists());
    let Some(chosen) = chosen else { return };
    let print = "import sys; print(getattr(sys, '_base_executable', None) or sys.executable)";
    let Ok(output) = Command::new(chosen).args(["-c", print]).output() else { return };
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let canonical = |path: &str| Path::new(path).canonicalize().ok();
    if !found.is_empty() && canonical(&found) != canonical(linked) {
        println!(
            "cargo:warning=linked with {linked}, while the best Python is {found} now; to change: cargo clean -p pyo3-ffi"
        );
    }
}
