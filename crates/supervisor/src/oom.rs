//! Whether the kernel has killed a process for want of memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The counters of such kills, as they were when they were looked at last.
#[derive(Debug)]
pub(crate) struct OutOfMemory {
    /// Of our control group, or of the whole machine where there is none that counts.
    file: PathBuf,
    seen: u64,
}

impl OutOfMemory {
    pub(crate) fn watch() -> Self {
        let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| events_file(&text));
        let file = group.filter(|file| count(file).is_some()).unwrap_or_else(|| "/proc/vmstat".into());
        let seen = count(&file).unwrap_or(0);
        Self { file, seen }
    }

    /// Whether there was one since this was called last.
    pub(crate) fn rose(&mut self) -> bool {
        let before = self.seen;
        self.seen = count(&self.file).unwrap_or(before);
        self.seen > before
    }
}

/// `memory.events` of the control group that `/proc/self/cgroup` names (version 2 only).
fn events_file(groups: &str) -> Option<PathBuf> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new("/sys/fs/cgroup").join(group).join("memory.events"))
}

fn count(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_rises_is_noticed_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory.events");
        fs::write(&file, "low 0\noom 3\noom_kill 2\noom_group_kill 0\n").unwrap();
        let mut watch = OutOfMemory { seen: count(&file).unwrap(), file: file.clone() };
        assert!(!watch.rose());
        fs::write(&file, "low 0\noom 4\noom_kill 3\noom_group_kill 0\n").unwrap();
        assert!(watch.rose());
        assert!(!watch.rose());
        fs::remove_file(&file).unwrap();
        assert!(!watch.rose());
    }

    #[test]
    fn the_control_group_is_that_of_version_2() {
        assert_eq!(
            events_file("1:name=systemd:/a\n0::/system.slice/shop.service\n").unwrap(),
            Path::new("/sys/fs/cgroup/system.slice/shop.service/memory.events")
        );
        assert_eq!(events_file("0::/\n").unwrap(), Path::new("/sys/fs/cgroup/memory.events"));
        assert_eq!(events_file("4:memory:/a\n"), None);
    }
}
