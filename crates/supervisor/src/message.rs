//! What the parent and a server process say to each other.
//!
//! In JSON, because the two may be different versions of this program: what one of them does not know it leaves out.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stack_config::Bind;

/// The longest text in a message. What an application prints when it does not import can be any length.
pub(crate) const LONGEST_TEXT: usize = 48 * 1024;

/// From the parent to a server process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// The first of all.
    Begin(Begin),
    /// The sockets that were asked for come with this: so many for each address.
    Listening {
        /// Lengths of the groups, in the order of the addresses.
        groups: Vec<usize>,
    },
    /// They can not be had.
    NotListening {
        /// Why.
        reason: String,
    },
    /// Accept connections.
    Serve,
    /// Another generation accepts on the sockets: leave what waits there to it, and finish what is in flight.
    HandOver {
        /// Those that nobody accepts on any more, by their places among all that were given: what waits there is to be
        /// taken first.
        #[serde(default)]
        given_up: Vec<usize>,
    },
    /// Stop, with everything in flight finished.
    Stop {
        /// What brought it about, for the log.
        reason: String,
    },
    /// Stop at once.
    Abort {
        /// What brought it about, for the log.
        reason: String,
    },
    /// Open the log files again: somebody has moved them away.
    ReopenLogs,
    /// Say how things are.
    Report,
    /// Say that the event loop turns.
    Ping,
    /// A generation that was to take over did not come up.
    ReloadFailed {
        /// Why, in its words.
        reason: String,
    },
}

/// What a server process has to know before anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Begin {
    /// The number of this generation, the first one's being 1.
    pub generation: u64,
    /// How often a server process was started in place of one that had ended.
    pub restarts: u64,
    /// How often that was because it did not respond.
    pub unresponsive: u64,
    /// How many reloads that were asked for took over.
    pub reloads: u64,
    /// How often a server was replaced because it was worn.
    pub worn: u64,
    /// Whether another generation serves meanwhile.
    pub takes_over: bool,
    /// The number of workers, where it is not the configuration's any more.
    pub workers: Option<usize>,
    /// The files whose change has brought it about, where that was it.
    pub changed: Option<Changed>,
    /// What a generation before has learned ([`Facts::learned`]).
    pub learned: Option<serde_json::Value>,
}

/// Files that have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changed {
    /// For the log: the first of them, from the application's directory on.
    pub names: String,
    /// All of them, as far as there is room.
    pub files: Vec<PathBuf>,
}

impl Changed {
    /// As many are named in a line, and as many are passed on.
    const MOST_NAMES: usize = 3;
    const MOST_FILES: usize = 100;

    /// Files, of which those below `directory` are named from there on.
    pub fn new(mut files: Vec<PathBuf>, directory: &Path) -> Self {
        let name = |file: &PathBuf| file.strip_prefix(directory).unwrap_or(file).display().to_string();
        let names: Vec<_> = files.iter().take(Self::MOST_NAMES).map(name).collect();
        let names = match files.len() - names.len() {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        };
        files.truncate(Self::MOST_FILES);
        Self { names, files }
    }
}

/// From a server process to the parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum Notice {
    /// Sockets on these addresses are needed.
    Listen {
        /// The addresses.
        binds: Vec<Bind>,
        /// The kernel's accept queue of each.
        backlog: u32,
    },
    /// The application is imported and its workers are ready: it waits to be told to accept.
    Ready(Facts),
    /// It accepts connections.
    Serving,
    /// It will end, for it can not serve.
    Failed {
        /// As it would be printed.
        text: String,
        /// The exit code that goes with it.
        exit_code: u8,
    },
    /// It has been told to hand over, and accepts no more.
    HandedOver,
    /// Nothing is in flight any more.
    Drained {
        /// Requests that were cut off.
        cut_off: usize,
    },
    /// It should be replaced when that suits, as a reload does. It is said once.
    WantsReload {
        /// Why, for the log.
        reason: String,
        /// It can not do all that it should any more.
        #[serde(default)]
        is_urgent: bool,
    },
    /// Files that it is made of have changed: it should be replaced.
    Changed(Changed),
    /// The answer to [`Order::Report`].
    Report(serde_json::Value),
    /// The answer to [`Order::Ping`].
    Pong,
}

/// What the parent should know of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Where it listens, as people write it.
    pub addresses: Vec<String>,
    /// The directory of the application.
    pub directory: PathBuf,
    /// The number of workers.
    pub workers: usize,
    /// How long a drain may take, in milliseconds.
    pub drain_ms: u64,
    /// What the next generation can be spared to find out, in the servers' own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<serde_json::Value>,
}

/// As much of a text as a message has room for: its end, where the cause is.
pub(crate) fn shortened(text: &str) -> String {
    let mut start = text.len().saturating_sub(LONGEST_TEXT);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_version_adds_is_left_out() {
        let begin: Order = serde_json::from_str(r#"{"order": "begin", "generation": 3, "colour": "red"}"#).unwrap();
        assert_eq!(begin, Order::Begin(Begin { generation: 3, ..Begin::default() }));
        serde_json::from_str::<Order>(r#"{"order": "dance"}"#).unwrap_err();
    }

    #[test]
    fn the_first_of_many_files_are_named() {
        let files = |count: usize| (0..count).map(|number| format!("/srv/{number}.py").into()).collect();
        assert_eq!(Changed::new(files(2), "/srv".as_ref()).names, "0.py, 1.py");
        let many = Changed::new(files(200), "/elsewhere".as_ref());
        assert_eq!((many.names.as_str(), many.files.len()), ("/srv/0.py, /srv/1.py, /srv/2.py and 197 more", 100));
    }

    #[test]
    fn a_long_text_keeps_its_end() {
        let text = format!("{}the cause", "ä".repeat(LONGEST_TEXT));
        let kept = shortened(&text);
        assert!(kept.len() <= LONGEST_TEXT && kept.ends_with("the cause"));
        assert_eq!(shortened("short"), "short");
    }
}
