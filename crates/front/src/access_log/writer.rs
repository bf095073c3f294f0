//! The one thread that writes the access log. A request never waits for it: what it can not keep up with is dropped,
//! counted and reported.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, TrySendError, bounded};
use jiff::tz::TimeZone;
use stack_config::{AccessLog, LogFormat};

use super::{Record, format::Form};

/// Lines that may wait for the writer.
const CAPACITY: usize = 8 * 1024;

/// Bytes that are written at a time, when there is that much.
const BATCH: usize = 64 * 1024;

/// How often lost lines are reported.
const REPORT: Duration = Duration::from_secs(10);

/// The access log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("access log {} not opened", path.display())]
pub struct AccessLogError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Hands records to the writer.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    records: crossbeam_channel::Sender<Box<Record>>,
    dropped: Arc<AtomicU64>,
}

/// A way to have the log's file opened again.
#[derive(Clone, Debug)]
pub struct ReopenLog(Arc<AtomicBool>);

impl ReopenLog {
    /// Has it opened again before the next line: somebody has moved it away.
    pub fn reopen(&self) {
        self.0.store(true, Relaxed);
    }
}

impl Sender {
    /// Never waits.
    pub(crate) fn send(&self, record: Box<Record>) {
        if let Err(TrySendError::Full(_)) = self.records.try_send(record) {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// The writing thread. It ends when the last [`Sender`] is gone and everything is written.
#[derive(Debug)]
pub(crate) struct Writer {
    thread: JoinHandle<()>,
    reopen: Arc<AtomicBool>,
}

impl Writer {
    /// Opens the log and starts the thread; `None` where there is none to write.
    pub(crate) fn start(target: &AccessLog, format: LogFormat) -> Result<Option<(Self, Sender)>, AccessLogError> {
        let sink = match target {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => Sink::Stdout,
            AccessLog::File(path) => match open(path) {
                Ok(file) => Sink::File(file, path.clone()),
                Err(source) => return Err(AccessLogError { path: path.clone(), source }),
            },
        };
        let (sender, records) = bounded(CAPACITY);
        let dropped = Arc::new(AtomicU64::new(0));
        let reopen = Arc::new(AtomicBool::new(false));
        let log = Log {
            sink,
            form: Form {
                format,
                is_coloured: matches!(target, AccessLog::Stdout) && io::stdout().is_terminal() && !no_colour(),
                // Before the application runs, which may change what it is read from.
                zone: TimeZone::system(),
            },
            dropped: Arc::clone(&dropped),
            reopen: Arc::clone(&reopen),
            lost: 0,
            reported_at: None,
        };
        let thread = thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || log.run(&records))
            .expect("a process that can not start a thread can not serve either");
        Ok(Some((Self { thread, reopen }, Sender { records: sender, dropped })))
    }

    pub(crate) fn reopen(&self) -> ReopenLog {
        ReopenLog(Arc::clone(&self.reopen))
    }

    /// Waits until everything is written. Every [`Sender`] has to be gone.
    pub(crate) fn join(self) {
        let _ = self.thread.join();
    }
}

/// <https://no-color.org>: set to anything but nothing.
fn no_colour() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

enum Sink {
    Stdout,
    File(File, PathBuf),
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

impl Sink {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
            Self::File(file, _) => file.write_all(lines),
        }
    }

    /// Opens the file again. Where that fails the one that is open goes on.
    fn reopen(&mut self) -> io::Result<()> {
        if let Self::File(file, path) = self {
            *file = open(path)?;
        }
        Ok(())
    }
}

struct Log {
    sink: Sink,
    form: Form,
    dropped: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
    /// Lines that were not written since the last report.
    lost: u64,
    reported_at: Option<Instant>,
}

impl Log {
    fn run(mut self, records: &Receiver<Box<Record>>) {
        let mut lines = Vec::with_capacity(BATCH + 1024);
        while let Ok(first) = records.recv() {
            let mut count = 1;
            self.form.line(&first, &mut lines);
            while lines.len() < BATCH
                && let Ok(record) = records.try_recv()
            {
                self.form.line(&record, &mut lines);
                count += 1;
            }
            if self.reopen.swap(false, Relaxed)
                && let Err(error) = self.sink.reopen()
            {
                tracing::error!(code = "STACK0310", %error, "the access log could not be opened again");
            }
            let outcome = self.sink.write(&lines);
            lines.clear();
            if outcome.is_err() {
                self.lost += count;
            }
            self.report(outcome.err().as_ref());
        }
    }

    fn report(&mut self, error: Option<&io::Error>) {
        self.lost += self.dropped.swap(0, Relaxed);
        let is_due = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT);
        if self.lost > 0 && is_due {
            let error = error.map(tracing::field::display);
            tracing::warn!(code = "STACK0310", dropped = self.lost, error, "access log lines lost");
            self.lost = 0;
            self.reported_at = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::format::tests::record, *};

    #[test]
    fn a_line_that_the_writer_has_no_room_for_is_dropped_and_counted() {
        let (records, written) = bounded(1);
        let sender = Sender { records, dropped: Arc::default() };
        sender.send(Box::new(record()));
        sender.send(Box::new(record()));
        assert_eq!((written.len(), sender.dropped.load(Relaxed)), (1, 1));
    }

    #[test]
    fn everything_is_written_when_the_last_sender_is_gone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let target = AccessLog::File(file.path().to_owned());
        let (writer, sender) = Writer::start(&target, LogFormat::Text).unwrap().unwrap();
        for _ in 0..1000 {
            sender.send(Box::new(record()));
        }
        drop(sender);
        writer.join();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap().lines().count(), 1000);
    }

    #[test]
    fn a_file_that_was_moved_away_is_followed_by_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let [path, moved] = ["access.log", "access.log.1"].map(|name| directory.path().join(name));
        let (writer, sender) = Writer::start(&AccessLog::File(path.clone()), LogFormat::Text).unwrap().unwrap();
        std::fs::rename(&path, &moved).unwrap();
        writer.reopen().reopen();
        sender.send(Box::new(record()));
        drop(sender);
        writer.join();
        let lines = |path: &Path| std::fs::read_to_string(path).unwrap().lines().count();
        assert_eq!((lines(&path), lines(&moved)), (1, 0));
    }

    #[test]
    fn a_log_that_can_not_be_opened_is_an_error() {
        let target = AccessLog::File("/nonexistent/access.log".into());
        let error = Writer::start(&target, LogFormat::Text).err().unwrap();
        assert_eq!(error.to_string(), "access log /nonexistent/access.log not opened");
    }
}
