//! Tells this crate, and through `DEP_STACK_PYTHON_…` the build scripts of those above it, which Python is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    let executable = python.executable().unwrap_or_default();
    println!("cargo:rustc-env=STACK_PYTHON_VERSION={}.{}", python.version().major, python.version().minor);
    println!("cargo:rustc-env=STACK_PYTHON_EXECUTABLE={executable}");
    println!("cargo:executable={executable}");
    println!("cargo:libdir={}", python.lib_dir().unwrap_or_default());
}
