//! A server whose workers can not be renewed in it asks its supervisor for another process.

use stack_supervisor::{message::Notice, server::Link};
use stack_wsgi::{WhenWorn, Worn};

/// Asks the supervisor, which decides when: the server serves on until then.
#[derive(Debug)]
pub(crate) struct AskSupervisor(pub(crate) Link);

impl WhenWorn for AskSupervisor {
    fn replace_process(&self, why: Worn) -> bool {
        let (reason, is_urgent) = match why {
            Worn::Abandoned => ("too many requests do not end", true),
            Worn::Recycled => ("its workers have served long enough", false),
            Worn::Incomplete => ("not all of its workers could load the application", false),
        };
        self.0.tell(&Notice::WantsReload { reason: reason.to_owned(), is_urgent });
        true
    }
}
