//! Lets the tests find the libpython that `stack-interp` is linked with.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let libdir = std::env::var("DEP_STACK_PYTHON_LIBDIR").unwrap_or_default();
    if !libdir.is_empty() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libdir}");
    }
}
