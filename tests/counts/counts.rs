//! What the instruction counts are of (`cargo bench-counts`): the code that every request passes through, a known number of times,
//! between two marks that the counter knows.
//!
//! Each benchmark runs in a process and on a thread of its own, without a clock to wait for, so that a run does what the one
//! before did. It sees its results before it is counted, so that nothing is counted that does not work.
//!
//!   counts list     the benchmarks, a line each: its name, and "python" if its figure depends on the Python that is linked
//!   counts python   that Python
//!   counts NAME     runs one; prints how often it did between the marks what it measures
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's answers")]

mod bridge;
mod front;
mod marks;
mod python;
mod request;

use std::{env, process::ExitCode};

use mimalloc::MiMalloc;

/// That of the executable.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Benchmark {
    name: &'static str,
    /// Whether what it counts depends on the Python that is linked.
    runs_python: bool,
    run: fn(),
}

const BENCHMARKS: &[Benchmark] = &[
    rust("head-check", front::check_head),
    rust("head-read", front::read_head),
    rust("file-head", front::make_file_head),
    rust("file-answer", front::answer_with_file),
    rust("dispatch", bridge::dispatch),
    rust("dispatch-to-task", bridge::dispatch_to_task),
    rust("application-answer", front::answer_of_application),
    python("environ", python::environ),
    python("gateway", python::gateway),
];

const fn rust(name: &'static str, run: fn()) -> Benchmark {
    Benchmark { name, runs_python: false, run }
}

const fn python(name: &'static str, run: fn()) -> Benchmark {
    Benchmark { name, runs_python: true, run }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [argument] = &arguments[..] else { return usage() };
    match argument.as_str() {
        "list" => {
            for Benchmark { name, runs_python, run: _ } in BENCHMARKS {
                println!("{name}{}", if *runs_python { " python" } else { "" });
            }
        }
        "python" => println!("{}", python::linked()),
        name => {
            let Some(benchmark) = BENCHMARKS.iter().find(|benchmark| benchmark.name == name) else { return usage() };
            (benchmark.run)();
            println!("{}", marks::COUNTED);
        }
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: counts list | python | NAME (see `cargo bench-counts --help`)");
    ExitCode::from(64)
}
