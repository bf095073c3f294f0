//! The report for people.

use std::{collections::BTreeMap, fmt};

use stack_wsgi::Refused;

use super::{
    extensions::{DISPENSABLE, ExtensionReport, Verdict},
    report::{Measured, Report},
};
use crate::isolation::Mode;

/// As many module names stand in a line; of more there is the number.
const NAMED: usize = 2;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict(f)?;
        self.surroundings(f)?;
        self.extensions(f)?;
        self.modes(f)?;
        self.suggestion(f)?;
        self.others.iter().try_for_each(|other| write!(f, "\n\n{other}"))
    }
}

impl Report {
    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (app, isolation) = (&self.application.app, &self.isolation);
        let chosen = isolation.chosen.map(Mode::as_str);
        match (&self.application.error, chosen) {
            (Some(_), _) => writeln!(f, "{app} does not start (isolation={})", isolation.configured)?,
            (None, Some(chosen)) if isolation.configured == "auto" => {
                writeln!(f, "{app} runs, with isolation={chosen}")?;
            }
            (None, _) => writeln!(f, "{app} runs, with isolation={} as configured", isolation.configured)?,
        }
        if let (Some(why), Some(chosen)) = (&isolation.why, chosen) {
            writeln!(f, "auto picks {chosen}: {why}")?;
        }
        if let Some(error) = &self.application.error {
            writeln!(f)?;
            error.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        }
        Ok(())
    }

    fn surroundings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let python = &self.python;
        let gil = match (python.free_threaded, python.gil) {
            (false, _) if python.interpreters => "which can give each interpreter a GIL of its own",
            (false, _) => "which can not give each interpreter a GIL of its own",
            (true, false) => "free-threaded",
            (true, true) => "free-threaded, but an extension module has switched the GIL on",
        };
        let unknown = |known: Option<String>| known.unwrap_or_else(|| "none".into());
        writeln!(f, "\nApplication    {} in {}", self.application.app, self.application.directory.display())?;
        writeln!(f, "Python         {}, {gil}", python.version)?;
        writeln!(f, "  executable   {}", python.executable)?;
        writeln!(f, "  library      {}", unknown(python.library.as_ref().map(|path| path.display().to_string())))?;
        writeln!(f, "Environment    {}", unknown(self.venv.as_ref().map(|path| path.display().to_string())))?;
        writeln!(f, "  packages     {} installed", self.packages)
    }

    fn extensions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages = by_package(&self.extension_modules);
        if packages.is_empty() {
            return writeln!(f, "\nNo extension modules beside Python's own");
        }
        let tried = if self.python.interpreters { ", in an interpreter of its own GIL" } else { "" };
        writeln!(f, "\nExtension modules{tried}")?;
        let width = packages.iter().map(|package| package.name.chars().count()).max().unwrap_or(0);
        for package in &packages {
            writeln!(f, "  {:width$}   {}", package.name, package.fate())?;
        }
        Ok(())
    }

    fn modes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nOne worker           import      memory (private, proportional)")?;
        for mode in [Mode::Interpreters, Mode::Processes, Mode::Threads] {
            let what = match mode {
                Mode::Interpreters => "an interpreter",
                Mode::Processes => "a process",
                Mode::Threads => "all in one process",
            };
            match self.measured.of(mode) {
                Some(Measured { import_ms, uss, pss }) => {
                    let import = format!("{import_ms} ms");
                    writeln!(f, "  {what:18} {import:>7}   {:>9} {:>9}", rounded(*uss), rounded(*pss))?;
                }
                None if mode == Mode::Interpreters && !self.python.interpreters => {
                    writeln!(f, "  {what:18} not with this Python")?;
                }
                None => writeln!(f, "  {what:18} does not load")?,
            }
        }
        Ok(())
    }

    fn suggestion(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = &self.suggested;
        writeln!(f, "\nTo begin with  --workers {} --threads {}", advice.workers, advice.threads)?;
        let cpus = if advice.cpus == 1 { "1 CPU".into() } else { format!("{} CPUs", advice.cpus) };
        let memory = rounded(advice.memory);
        if advice.memory_is_short {
            writeln!(f, "               {cpus}, but the {memory} of memory suffice for no more workers")
        } else {
            writeln!(f, "               {cpus}, {memory} of memory")
        }
    }
}

fn rounded(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "unknown".into() };
    match (bytes + (1 << 19)) >> 20 {
        many if many >= 10 << 10 => format!("{} GiB", (many + (1 << 9)) >> 10),
        few => format!("{few} MiB"),
    }
}

/// A package's extension modules, by what became of them.
struct PackageReport<'a> {
    name: String,
    refused: Refused,
    modules: BTreeMap<Verdict, Vec<&'a ExtensionReport>>,
}

impl PackageReport<'_> {
    /// What became of the worst of its modules, and what can be done.
    fn fate(&self) -> String {
        let Some((verdict, modules)) = self.modules.last_key_value() else { return String::new() };
        let named: Vec<_> = modules.iter().take(NAMED).map(|report| report.module.as_str()).collect();
        let more = modules.len().checked_sub(NAMED).filter(|more| *more > 0);
        let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
        let named = format!("{}{more}", named.join(", "));
        let detail = modules.first().and_then(|report| report.detail.as_deref()).unwrap_or_default();
        let fate = match verdict {
            Verdict::Loads => format!("loads: {named}"),
            Verdict::Replaced => format!("runs as pure Python, without {named}"),
            Verdict::Untried => named,
            Verdict::Fails => format!("fails by itself: {named} ({detail})"),
            Verdict::Needs => format!("needs what refuses: {named} ({detail})"),
            Verdict::Refuses if detail == DISPENSABLE => format!("refuses, and {detail}: {named}"),
            Verdict::Refuses => format!("refuses: {named}"),
            Verdict::Hangs => format!("hangs: {named} ({detail})"),
            Verdict::Crashes => format!("crashes: {named} ({detail})"),
        };
        let alternative = self.refused.alternative().filter(|_| *verdict >= Verdict::Fails && detail != DISPENSABLE);
        alternative.map_or(fate.clone(), |alternative| format!("{fate}; there is {alternative}"))
    }
}

/// The worst first.
fn by_package(extensions: &[ExtensionReport]) -> Vec<PackageReport<'_>> {
    let mut packages: Vec<PackageReport<'_>> = Vec::new();
    for report in extensions {
        let refused = Refused { package: report.package.clone(), modules: vec![report.module.clone()] };
        let name = report.package.as_ref().map_or_else(|| report.module.clone(), ToString::to_string);
        let place = packages.iter().position(|package| package.name == name).unwrap_or_else(|| {
            packages.push(PackageReport { name, refused, modules: BTreeMap::new() });
            packages.len() - 1
        });
        packages[place].modules.entry(report.verdict).or_default().push(report);
    }
    let worst = |package: &PackageReport<'_>| package.modules.last_key_value().map(|(verdict, _)| *verdict);
    packages.sort_by(|one, other| worst(other).cmp(&worst(one)).then_with(|| one.name.cmp(&other.name)));
    packages
}

#[cfg(test)]
mod tests {
    use stack_wsgi::inspect::Package;

    use super::*;

    fn report(package: &str, module: &str, verdict: Verdict) -> ExtensionReport {
        let package = Some(package).filter(|name| !name.is_empty());
        let package = package.map(|name| Package { name: name.into(), version: "1.0".into() });
        ExtensionReport { module: module.into(), file: None, package, verdict, detail: None }
    }

    #[test]
    fn a_package_is_as_good_as_the_worst_of_its_modules_and_the_worst_goes_first() {
        let extensions = [
            report("good", "good.one", Verdict::Loads),
            report("", "speedups", Verdict::Replaced),
            report("numpy", "numpy.a", Verdict::Refuses),
            report("numpy", "numpy.b", Verdict::Needs),
            report("numpy", "numpy.c", Verdict::Refuses),
            report("numpy", "numpy.d", Verdict::Refuses),
            report("numpy", "numpy.e", Verdict::Refuses),
            report("mysqlclient", "MySQLdb._mysql", Verdict::Refuses),
        ];
        let lines: Vec<_> =
            by_package(&extensions).iter().map(|package| format!("{} {}", package.name, package.fate())).collect();
        assert_eq!(
            lines,
            [
                "mysqlclient 1.0 refuses: MySQLdb._mysql; there is PyMySQL, which is pure Python",
                "numpy 1.0 refuses: numpy.a, numpy.c and 2 more",
                "speedups runs as pure Python, without speedups",
                "good 1.0 loads: good.one",
            ]
        );
    }

    #[test]
    fn memory_is_rounded() {
        assert_eq!(rounded(Some((36 << 20) + (700 << 10))), "37 MiB");
        assert_eq!(rounded(Some(24_106 << 20)), "24 GiB");
        assert_eq!(rounded(None), "unknown");
    }
}
