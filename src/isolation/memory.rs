//! What a process holds of the machine's memory.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a process holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// What would be free again if the process ended (USS).
    pub(crate) private: u64,
    /// With its share of what it has in common with other processes (PSS).
    pub(crate) proportional: u64,
}

impl Memory {
    /// That of this process; `None` where the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/smaps_rollup").ok()?)
    }

    fn parse(smaps: &str) -> Option<Self> {
        let field = |name: &str| kibibytes(smaps, name);
        let private = field("Private_Clean:")? + field("Private_Dirty:")?;
        Some(Self { private, proportional: field("Pss:")? })
    }

    /// What was added since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            private: self.private.saturating_sub(before.private),
            proportional: self.proportional.saturating_sub(before.proportional),
        }
    }
}

/// `NAME   123 kB` in bytes.
pub(crate) fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let smaps = "55d0-7ffd ---p 00000000 00:00 0  [rollup]\nRss:  900 kB\nPss:  300 kB\nPss_Dirty: 5 kB\n\
                     Private_Clean:  100 kB\nPrivate_Dirty:   50 kB\n";
        let memory = Memory::parse(smaps).unwrap();
        assert_eq!(memory, Memory { private: 150 * 1024, proportional: 300 * 1024 });
        let before = Memory { private: 1024, proportional: 1 << 40 };
        assert_eq!(memory.since(before), Memory { private: 149 * 1024, proportional: 0 });
        assert_eq!(Memory::parse("Rss: 1 kB\n"), None);
    }
}
