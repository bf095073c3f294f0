//! `cargo bench-counts`: command line, progress on standard error, the table on standard output.
//!
//! Exit codes: 0 where the baseline allows the counts or does not hold for them, 64 for bad usage (`EX_USAGE` of sysexits), 130
//! after a signal, 1 for everything else.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
};

use stack_bench::{Interrupt, count, parse_counts};

fn main() -> ExitCode {
    let plan = match parse_counts(env::args_os()) {
        Ok(plan) => plan,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let counted = Interrupt::watch().and_then(|interrupt| count(&plan, &interrupt, &mut io::stderr()));
    match counted {
        Ok(table) => {
            // A reader that has left has what it wanted.
            let _ = io::stdout().lock().write_all(table.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "bench-counts: {}", error.chain());
            ExitCode::from(error.exit_code())
        }
    }
}
