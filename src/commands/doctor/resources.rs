//! What the machine, or the container, gives.

use std::{fs, path::Path};

use crate::isolation::memory::kibibytes;

/// The memory that this process and its children may use: the least of what the container's control groups and the
/// machine set; `None` where the system does not tell.
pub(super) fn memory_limit() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kibibytes(&text, "MemTotal:"));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(group_limits(&groups, Path::new("/sys/fs/cgroup"))).min()
}

/// The limits of the groups in `/proc/self/cgroup` and of those above them. In a container a group's path may be the
/// host's and not exist; its own is then the root.
fn group_limits(groups: &str, root: &Path) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let group = root.join(path.trim_start_matches('/'));
        let above = group.ancestors().take_while(|folder| folder.starts_with(&root));
        // `max`, and in version 1 a number that no machine reaches, mean none; the machine's own is the least then.
        limits
            .extend(above.filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok()));
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_limits_of_a_group_and_of_those_above_it_count() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "a/memory.max", "536870912\n");
        group(root.path(), "a/b/memory.max", "max\n");
        assert_eq!(group_limits("0::/a/b\n", root.path()), [536_870_912]);
        // The path is the host's: the container sees its own group as the root.
        group(root.path(), "memory.max", "1024\n");
        assert_eq!(group_limits("0::/kubepods/pod1\n", root.path()), [1024]);
    }

    #[test]
    fn the_first_version_of_control_groups_has_limits_too() {
        let root = tempfile::tempdir().unwrap();
        group(root.path(), "memory/docker/1/memory.limit_in_bytes", "268435456\n");
        group(root.path(), "memory/memory.limit_in_bytes", "9223372036854771712\n");
        let groups = "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/\n";
        assert_eq!(group_limits(groups, root.path()), [268_435_456, 9_223_372_036_854_771_712]);
    }
}
