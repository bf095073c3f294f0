//! Lets the executable find the libpython that `stack-interp` is linked with, and tells the tests which Python that is.

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let libdir = variable("DEP_STACK_PYTHON_LIBDIR");
    if !libdir.is_empty() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libdir}");
    }
    // Not STACK_…: cargo run hands it on to the program, which reads those as keys.
    println!("cargo:rustc-env=LINKED_PYTHON_EXECUTABLE={}", variable("DEP_STACK_PYTHON_EXECUTABLE"));
}
