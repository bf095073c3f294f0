//! What processes have taken, from `/proc`: CPU time of a whole group, those that have ended included, and memory in proportion.

use std::{collections::BTreeSet, fs, time::Duration};

use rustix::{param::clock_ticks_per_second, process::Pid};

use crate::Error;

/// What a server's processes have taken together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time, in a resolution of 10 ms.
    pub(crate) cpu: Duration,
    /// Proportional set size in bytes: a page that several processes have in common is shared out among them.
    pub(crate) memory: u64,
}

/// What is read of `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    parent: i32,
    group: i32,
    /// User and system time, of the process and of its children that have ended and been waited for, in ticks.
    ticks: u64,
    /// Ended, and not waited for yet.
    is_zombie: bool,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name, in parentheses, may itself have any characters in it.
        let (pid, rest) = line.split_once(" (")?;
        let fields: Vec<_> = rest.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<i64>().ok();
        let ticks = (11..15).map(number).sum::<Option<i64>>()?;
        Some(Self {
            pid: pid.parse().ok()?,
            parent: number(1)?.try_into().ok()?,
            group: number(2)?.try_into().ok()?,
            ticks: ticks.try_into().ok()?,
            is_zombie: fields.first() == Some(&"Z"),
        })
    }
}

/// What these processes, all that descend from them and all of their groups have taken until now.
///
/// Time of a process that has ended counts as long as whoever waited for it lives: a worker that was replaced is not lost.
pub(crate) fn usage(roots: &[Pid]) -> Result<Usage, Error> {
    let mut usage = Usage::default();
    let mut ticks = 0;
    for stat in members(&all()?, roots) {
        ticks += stat.ticks;
        // What has ended since has no memory.
        let Ok(smaps) = fs::read_to_string(format!("/proc/{}/smaps_rollup", stat.pid)) else { continue };
        usage.memory += proportional(&smaps);
    }
    usage.cpu = Duration::from_millis(ticks * 1000 / clock_ticks_per_second());
    Ok(usage)
}

/// CPU time alone: reading memory maps takes time of its own.
pub(crate) fn cpu(roots: &[Pid]) -> Result<Duration, Error> {
    let ticks: u64 = members(&all()?, roots).map(|stat| stat.ticks).sum();
    Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
}

/// The processes that belong to these and run, themselves included.
pub(crate) fn processes(roots: &[Pid]) -> Result<Vec<Pid>, Error> {
    let all = all()?;
    let running = members(&all, roots).filter(|stat| !stat.is_zombie).filter_map(|stat| Pid::from_raw(stat.pid));
    Ok(running.collect())
}

fn all() -> Result<Vec<Stat>, Error> {
    let entries = fs::read_dir("/proc").map_err(Error::file("/proc"))?;
    let pids = entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    // One that ends meanwhile is gone.
    let lines = pids.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    Ok(lines.filter_map(|line| Stat::parse(&line)).collect())
}

fn members(all: &[Stat], roots: &[Pid]) -> impl Iterator<Item = Stat> {
    let roots: BTreeSet<i32> = roots.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
    let mut found: BTreeSet<i32> = all
        .iter()
        .filter(|stat| roots.contains(&stat.pid) || roots.contains(&stat.group))
        .map(|stat| stat.pid)
        .collect();
    // A child may stand before its parent: numbers begin anew.
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|stat| found.contains(&stat.parent) && !found.contains(&stat.pid))
            .map(|stat| stat.pid)
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    all.iter().copied().filter(move |stat| found.contains(&stat.pid))
}

/// The sum of `Pss` in bytes.
fn proportional(smaps: &str) -> u64 {
    let lines = smaps.lines().filter_map(|line| line.strip_prefix("Pss:"));
    lines.filter_map(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()).sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    fn stat(pid: i32, parent: i32, group: i32) -> Stat {
        Stat { pid, parent, group, ticks: 1, is_zombie: false }
    }

    #[test]
    fn a_name_may_have_parentheses_and_spaces() {
        let line = "412 (a) R (b) c) S 1 400 400 0 -1 4194560 100 200 0 0 30 12 5 3 20 0 4 0 100 1000 50 184467";
        let ticks = 30 + 12 + 5 + 3;
        assert_eq!(Stat::parse(line), Some(Stat { pid: 412, parent: 1, group: 400, ticks, is_zombie: false }));
    }

    #[test]
    fn a_cut_line_is_none() {
        assert_eq!(Stat::parse("412 (name) S 1 400 400 0 -1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn members_are_descendants_and_those_of_the_group() {
        let all =
            [stat(3, 2, 1), stat(9, 8, 9), stat(2, 1, 1), stat(7, 3, 7), stat(5, 1, 5), stat(6, 4, 5), stat(4, 1, 4)];
        let found: Vec<_> =
            members(&all, &[Pid::from_raw(5).unwrap(), Pid::from_raw(3).unwrap()]).map(|s| s.pid).collect();
        assert_eq!(found, [3, 7, 5, 6]);
    }

    #[test]
    fn memory_is_the_sum_of_the_proportional_sizes() {
        let smaps = "55d0 ---p 00000000 00:00 0 [rollup]\nRss: 5000 kB\nPss:      1234 kB\nPss_Anon:  900 kB\n";
        assert_eq!(proportional(smaps), 1234 * 1024);
    }

    #[test]
    fn time_of_children_that_ended_counts() {
        // The inner shell computes and ends; the outer one has waited for it when it says so, and lives on.
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done'; echo done; read line";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .process_group(0)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut said).unwrap();
        let usage = usage(&[Pid::from_child(&child)]).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(said, "done\n");
        assert!(usage.cpu >= Duration::from_millis(20), "{usage:?}");
        assert!(usage.memory > 10_000, "{usage:?}");
    }
}
