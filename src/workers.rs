//! The workers, wherever they run.

use std::time::Duration;

use anyhow::Context;
use stack_process::ProcessPool;
use stack_wsgi::Pool;

use crate::worker_spec::ProcessReport;

/// The consumers of the job queue.
pub(crate) enum Workers {
    /// In this process.
    Here {
        pool: Pool,
        /// The running Python's version.
        python: String,
    },
    /// In processes of their own.
    Processes(ProcessPool),
}

impl Workers {
    /// The full version of the Python that they run.
    pub(crate) fn python(&self) -> String {
        match self {
            Self::Here { pool: _, python } => python.clone(),
            Self::Processes(pool) => {
                let report = pool.reports().first().and_then(|report| serde_json::from_str(report).ok());
                report.map(|report: ProcessReport| report.python).unwrap_or_default()
            }
        }
    }

    /// Ends them; gives the number of those that were not done in time.
    pub(crate) async fn stop(self, timeout: Duration) -> anyhow::Result<usize> {
        match self {
            Self::Here { pool, python: _ } => {
                let ending = tokio::task::spawn_blocking(move || pool.stop(timeout));
                Ok(ending.await.context("the workers ended")?.stuck)
            }
            Self::Processes(pool) => Ok(pool.stop(timeout).await.stuck),
        }
    }
}
