//! Tells this crate, and through `DEP_STACK_PYTHON_…` the build scripts of those above it, which Python is linked.

use std::{env, path::Path, process::Command};

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
    warn_of_another_python(executable);
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
