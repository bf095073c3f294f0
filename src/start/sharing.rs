//! Which applications may run in the server's own process together.
//!
//! A process has one current directory, one set of variables, one Python environment and one main interpreter. The first
//! application that is to run here decides what they are. One that needs others runs in processes, where they are its own.

use std::fmt;

use stack_config::Isolation;
use stack_interp::Version;

use super::{Plan, spelled};

/// Why an application does not run in the server's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// What is not its own there.
    what: What,
    /// Whose it is.
    host: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Directory,
    Variables,
    Venv,
    MainInterpreter,
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match self.what {
            What::Directory => write!(f, "it has a chdir of its own, and that of the server's process is {host}'s"),
            What::Variables => write!(f, "it has an env_file of its own, and the server's variables are {host}'s"),
            What::Venv => write!(f, "it has a virtual environment of its own, and the server's process has {host}'s"),
            What::MainInterpreter => write!(f, "there is one main interpreter, and {host} runs in it"),
        }
    }
}

/// Finds the application whose directory, variables and environment the server's process has, and notes which of the others
/// can not run beside it. Gives the place of the first.
pub(super) fn settle(plans: &mut [Plan]) -> Option<usize> {
    let insists = |plan: &&Plan| matches!(plan.settings.isolation, Isolation::Interpreters | Isolation::Threads);
    let may = |plan: &&Plan| plan.settings.isolation == Isolation::Auto && !plan.settings.preload;
    let host = plans.iter().find(insists).or_else(|| plans.iter().find(may))?.clone();
    let mut main = None;
    for plan in plans.iter_mut() {
        let what = differs(plan, &host).map(|what| (what, spelled(&host.app)));
        let apart = what.or_else(|| {
            let taken = main.clone().filter(|_| wants_main_interpreter(plan));
            taken.map(|main| (What::MainInterpreter, main))
        });
        if apart.is_none() && wants_main_interpreter(plan) {
            main = Some(spelled(&plan.app));
        }
        plan.apart = apart.map(|(what, host)| Apart { what, host });
    }
    plans.iter().position(|plan| *plan == host || plan.at == host.at)
}

fn differs(plan: &Plan, host: &Plan) -> Option<What> {
    let venv = |plan: &Plan| plan.venv.as_ref().map(|venv| venv.path.clone());
    if plan.settings.chdir != host.settings.chdir {
        Some(What::Directory)
    } else if plan.settings.env != host.settings.env {
        Some(What::Variables)
    } else if venv(plan) != venv(host) {
        Some(What::Venv)
    } else {
        None
    }
}

fn wants_main_interpreter(plan: &Plan) -> bool {
    match plan.settings.isolation {
        Isolation::Threads => true,
        Isolation::Auto => !plan.settings.preload && Version::linked().is_free_threaded(),
        Isolation::Interpreters | Isolation::Processes => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, time::Duration};

    use stack_bridge::WorkerId;
    use stack_config::{AppSource, AppSpec, Application, Recycling};
    use stack_wsgi::WatchSettings;

    use super::*;

    fn plan(module: &str, isolation: Isolation, change: impl FnOnce(&mut Application)) -> Plan {
        let app = AppSpec { module: module.into(), callable: None };
        let mut settings = Application {
            app: AppSource::Named(app.clone()),
            chdir: "/srv".into(),
            venv: None,
            env: Vec::new(),
            isolation,
            workers: NonZeroUsize::MIN,
            workers_given: false,
            threads: NonZeroUsize::MIN,
            threads_given: false,
            preload: false,
        };
        change(&mut settings);
        let at = format!("{module}.example");
        Plan {
            settings,
            app,
            because_of: None,
            venv: None,
            env: Vec::new(),
            at,
            first: WorkerId(0),
            known: None,
            apart: None,
            is_alone: false,
            find_directories: false,
            watch: WatchSettings {
                kill: Duration::from_secs(10),
                pause: None,
                slow: None,
                interrupt_on_disconnect: false,
            },
            recycling: Recycling::default(),
        }
    }

    fn apart(plans: &mut [Plan]) -> Vec<Option<What>> {
        settle(plans);
        plans.iter().map(|plan| plan.apart.as_ref().map(|apart| apart.what)).collect()
    }

    #[test]
    fn applications_that_agree_run_together() {
        let mut plans = ["a", "b"].map(|module| plan(module, Isolation::Interpreters, |_| {}));
        assert_eq!(apart(&mut plans), [None, None]);
    }

    #[test]
    fn the_first_one_that_runs_here_decides() {
        let other = |settings: &mut Application| settings.chdir = "/other".into();
        let variables = |settings: &mut Application| settings.env = vec![("A".into(), "1".into())];
        let mut plans = [
            plan("a", Isolation::Processes, other),
            plan("b", Isolation::Auto, |_| {}),
            plan("c", Isolation::Auto, other),
            plan("d", Isolation::Auto, variables),
        ];
        assert_eq!(settle(&mut plans), Some(1));
        assert_eq!(apart(&mut plans)[1..], [None, Some(What::Directory), Some(What::Variables)]);
        let reason = plans[2].apart.as_ref().unwrap().to_string();
        assert_eq!(reason, "it has a chdir of its own, and that of the server's process is b's");
    }

    #[test]
    fn who_insists_goes_before_who_may() {
        let other = |settings: &mut Application| settings.chdir = "/other".into();
        let mut plans = [plan("a", Isolation::Auto, |_| {}), plan("b", Isolation::Interpreters, other)];
        assert_eq!(apart(&mut plans), [Some(What::Directory), None]);
    }

    #[test]
    fn there_is_one_main_interpreter() {
        let mut plans = ["a", "b"].map(|module| plan(module, Isolation::Threads, |_| {}));
        assert_eq!(apart(&mut plans), [None, Some(What::MainInterpreter)]);
    }
}
