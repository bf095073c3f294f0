//! Tells the crate which Python it is linked with, and where the tests find its library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    let python = pyo3_build_config::get();
    println!("cargo:rustc-env=STACK_PYTHON_VERSION={}.{}", python.version().major, python.version().minor);
    println!("cargo:rustc-env=STACK_PYTHON_EXECUTABLE={}", python.executable().unwrap_or_default());
}
