//! Health and metrics on listeners of their own, for as long as this server is the one to speak of.

use stack_front::{Admin, Listeners};
use tokio::{sync::oneshot, task::JoinHandle};

/// What answers on the admin listeners.
pub(super) struct AdminService {
    waiting: Option<(Admin, Listeners)>,
    serving: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl AdminService {
    pub(super) fn new(admin: Admin, listeners: Listeners) -> Self {
        Self { waiting: Some((admin, listeners)), serving: None }
    }

    pub(super) fn start(&mut self) {
        let Some((admin, listeners)) = self.waiting.take() else { return };
        for address in listeners.describe() {
            tracing::info!(address, "answering health checks");
        }
        let (end, ended) = oneshot::channel::<()>();
        let end_of_admin = async {
            let _ = ended.await;
        };
        self.serving = Some((end, tokio::spawn(admin.serve(listeners, end_of_admin))));
    }

    pub(super) async fn stop(&mut self) {
        if let Some((end, serving)) = self.serving.take() {
            drop(end);
            let _ = serving.await;
        }
    }
}
