//! The command line of `cargo bench-counts`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::Benchmark;
use crate::Error;

/// What a count does.
#[derive(Debug, Default)]
pub struct CountPlan {
    /// Names of benchmarks; all if there are none.
    pub(super) only: Vec<String>,
    /// Make what is counted the baseline.
    pub(super) accept: bool,
}

/// Reads the command line. An error of it, and a wish for help, is clap's.
pub fn parse_counts(arguments: impl IntoIterator<Item = OsString>) -> Result<CountPlan, clap::Error> {
    let mut matches = command().try_get_matches_from(arguments)?;
    let only = matches.remove_many("only").map(Iterator::collect).unwrap_or_default();
    Ok(CountPlan { only, accept: matches.get_flag("accept") })
}

fn command() -> Command {
    Command::new("bench-counts")
        .bin_name("cargo bench-counts")
        .about("Counts the instructions of what every request passes through, and compares them with crates/bench/counts.json")
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("Only this benchmark; can be given several times"),
        )
        .arg(
            Arg::new("accept")
                .long("accept")
                .action(ArgAction::SetTrue)
                .help("Make these counts, and what they were counted with, the baseline"),
        )
}

impl CountPlan {
    /// Those of the benchmarks that were asked for.
    pub(super) fn chosen(&self, all: Vec<Benchmark>) -> Result<Vec<Benchmark>, Error> {
        if let Some(name) = self.only.iter().find(|name| all.iter().all(|benchmark| benchmark.name != **name)) {
            let known: Vec<_> = all.iter().map(|benchmark| &benchmark.name[..]).collect();
            return Err(Error::Usage(format!("there is no benchmark {name:?}; there are {}", known.join(", "))));
        }
        let is_wanted = |benchmark: &Benchmark| self.only.is_empty() || self.only.contains(&benchmark.name);
        Ok(all.into_iter().filter(is_wanted).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> CountPlan {
        parse_counts(["bench-counts"].iter().chain(arguments).map(OsString::from)).unwrap()
    }

    fn chosen(plan: &CountPlan) -> Result<Vec<String>, Error> {
        let all = ["environ", "dispatch"].map(|name| Benchmark { name: name.to_owned(), runs_python: false });
        Ok(plan.chosen(all.to_vec())?.into_iter().map(|benchmark| benchmark.name).collect())
    }

    #[test]
    fn nothing_said_is_all() {
        let plan = plan(&[]);
        assert!(!plan.accept);
        assert_eq!(chosen(&plan).unwrap(), ["environ", "dispatch"]);
    }

    #[test]
    fn what_is_named_is_counted() {
        let plan = plan(&["--only", "dispatch", "--accept"]);
        assert!(plan.accept);
        assert_eq!(chosen(&plan).unwrap(), ["dispatch"]);
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = chosen(&plan(&["--only", "enviro"])).unwrap_err();
        assert_eq!(error.to_string(), "there is no benchmark \"enviro\"; there are environ, dispatch");
    }
}
