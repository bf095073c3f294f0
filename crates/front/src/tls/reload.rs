//! Follows the files: changed certificates are taken for new connections, broken ones are not.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Current, LocalIdentity, Made, Tls, TlsError, certificate::Certificate, expiry, files::Snapshot, settings::Tickets,
};

/// How often the files are looked at. What has changed is taken when it was the same twice, so that nothing is taken
/// that is still being written.
const LOOK: Duration = Duration::from_millis(400);

/// How often certificates are looked at for their time.
const DAILY: Duration = Duration::from_hours(24);

/// What has been seen of the files and is not in use.
#[derive(Debug, Default)]
struct Seen {
    last: Option<Snapshot>,
    /// It was the same twice, and did not do.
    refused: Option<Snapshot>,
}

/// Follows the files for as long as the server accepts connections.
pub(crate) async fn follow(tls: Arc<Tls>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    let mut dated_at: Option<Instant> = None;
    loop {
        looks.tick().await;
        let looking = Arc::clone(&tls);
        // Only a panic makes it fail, and that has been told.
        seen = spawn_blocking(move || looking.look(seen)).await.unwrap_or_default();
        if dated_at.is_none_or(|at| at.elapsed() >= DAILY) {
            dated_at = Some(Instant::now());
            let now = SystemTime::now();
            tls.renew(now);
            expiry::warn(&tls.current().certificates, now);
        }
    }
}

impl Tls {
    /// Looks at the files once. Waits for their disk.
    fn look(&self, seen: Seen) -> Seen {
        let current = self.current();
        let snapshot = self.files.look(Some(seen.last.as_ref().unwrap_or(&current.snapshot)));
        if current.snapshot == snapshot {
            return Seen { last: Some(snapshot), refused: None };
        }
        if seen.last.as_ref() != Some(&snapshot) || seen.refused.as_ref() == Some(&snapshot) {
            return Seen { last: Some(snapshot), refused: seen.refused };
        }
        match self.reload(&current, snapshot.clone()) {
            Ok(()) => Seen { last: Some(snapshot), refused: None },
            Err(error) => {
                error.log();
                Seen { last: Some(snapshot.clone()), refused: Some(snapshot) }
            }
        }
    }

    fn reload(&self, current: &Current, snapshot: Snapshot) -> Result<(), TlsError> {
        let certificates = match &self.local {
            Some(_) => Arc::clone(&current.certificates),
            None => self.files.certificates(&snapshot)?.into(),
        };
        let same_clients = self.files.same_clients(&current.snapshot, &snapshot);
        let tickets = if same_clients { current.tickets.clone() } else { Tickets::new()? };
        self.take(current, Made { certificates, tickets, snapshot })?;
        if !same_clients {
            tracing::info!("authorities for clients' certificates reloaded");
        }
        Ok(())
    }

    /// Makes a new certificate in place of one that was made here and is old.
    fn renew(&self, now: SystemTime) {
        let current = self.current();
        let Some(local) = &self.local else { return };
        if !LocalIdentity::is_due(&current.certificates, now) {
            return;
        }
        let renewed = local.issue(now).map_err(TlsError::from).and_then(|certificate| {
            let Current { server: _, certificates: _, tickets, snapshot } = current.clone();
            self.take(&current, Made { certificates: [certificate].into(), tickets, snapshot })
        });
        if let Err(error) = renewed {
            tracing::error!(code = "STACK0334", %error, "the self-signed certificate can not be renewed");
        }
    }

    /// Uses these from now on, and says what is new.
    fn take(&self, before: &Current, made: Made) -> Result<(), TlsError> {
        let certificates = Arc::clone(&made.certificates);
        self.replace(made.into_current(&self.settings, &self.files, self.local.as_ref())?);
        let is_new =
            |certificate: &&Certificate| before.certificates.iter().all(|known| known.key.cert != certificate.key.cert);
        for certificate in certificates.iter().filter(is_new) {
            let (names, expires, file) = (certificate.names(), certificate.expires(), certificate.file());
            tracing::info!(names, expires, file, "certificate reloaded");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
