//! `cargo bench-peers`: command line, progress on standard error, the report on standard output.
//!
//! Exit codes: 0 after a whole run, 64 for bad usage (`EX_USAGE` of sysexits), 130 after a signal, 1 for everything else.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use stack_bench::{Asked, Error, Interrupt, list, parse, run, serve_floor};

fn main() -> ExitCode {
    let asked = match parse(env::args_os()) {
        Ok(asked) => asked,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    match asked.and_then(answer) {
        Ok(text) => {
            // A reader that has left has what it wanted.
            let _ = io::stdout().lock().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "bench-peers: {}", error.chain());
            ExitCode::from(error.exit_code())
        }
    }
}

fn answer(asked: Asked) -> Result<String, Error> {
    let plan = match asked {
        Asked::List => return Ok(list()),
        Asked::Floor { port, threads, backlog } => {
            return serve_floor(port, threads, backlog).map(|()| String::new());
        }
        Asked::Run(plan) => plan,
    };
    let interrupt = Interrupt::watch()?;
    let mut progress = io::stderr();
    let (text, folder) = run(&plan, &interrupt, &mut progress)?;
    let _ = writeln!(progress, "report.md, report.json and the charts are in {}\n", folder.display());
    Ok(text)
}
