//! The machine that was measured on: figures mean nothing without it.

use std::fs;

use rustix::system::{sysinfo, uname};
use serde::Serialize;

/// Facts about the machine, as its system tells them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu_model: String,
    /// Those that the benchmark may use.
    pub(crate) cpus: usize,
    /// In bytes.
    pub(crate) memory: u64,
    pub(crate) kernel: String,
    /// The load average of one minute when the run began: above 0.5 somebody else was busy.
    pub(crate) load_at_start: f64,
}

impl Machine {
    pub(crate) fn look(cpus: usize) -> Self {
        let name = uname();
        let (system, release) = (name.sysname().to_string_lossy(), name.release().to_string_lossy());
        let info = sysinfo();
        Self {
            cpu_model: cpu_model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cpus,
            memory: u64::from(info.mem_unit) * info.totalram,
            kernel: format!("{system} {release} {}", name.machine().to_string_lossy()),
            load_at_start: load(&fs::read_to_string("/proc/loadavg").unwrap_or_default()),
        }
    }

    /// In a line.
    pub(crate) fn sentence(&self) -> String {
        let Self { cpu_model, cpus, memory, kernel, load_at_start } = self;
        let gib = memory >> 30;
        format!("{cpu_model}, {cpus} CPUs, {gib} GiB, {kernel}; load average at the start {load_at_start:.2}")
    }

    /// Whether something else ran when the run began.
    pub(crate) fn is_busy(&self) -> bool {
        self.load_at_start > 0.5
    }
}

/// The first processor's name; ARM's kernels tell none.
fn cpu_model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    line.map_or("unknown CPU", |(_, name)| name.trim()).to_owned()
}

fn load(loadavg: &str) -> f64 {
    loadavg.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: A CPU: fast\n"), "A CPU: fast");
        assert_eq!(cpu_model("processor\t: 0\n"), "unknown CPU");
        assert!((load("1.25 0.80 0.40 2/300 4242\n") - 1.25).abs() < 1e-9);
    }

    #[test]
    fn this_machine_has_memory_and_a_kernel() {
        let machine = Machine::look(2);
        assert!(machine.memory > 1 << 20 && machine.kernel.starts_with("Linux "), "{machine:?}");
    }
}
