//! The word that workers wait for which were begun before it was known whether they are wanted.

use std::sync::{Arc, OnceLock};

/// What such workers wait for before they import the application. It is the [`Decision`] that tells them.
#[derive(Clone, Debug)]
pub struct Permission(Arc<OnceLock<bool>>);

/// Who has it decides, once. Dropped without a word, it has refused.
#[derive(Debug)]
pub struct Decision(Permission);

impl Permission {
    /// One that is still to be given or refused.
    pub fn pending() -> (Decision, Self) {
        let permission = Self(Arc::default());
        (Decision(permission.clone()), permission)
    }

    /// Refuses it, unless it has been given: the workers have failed already, or nobody decides any more.
    pub(super) fn withdraw(&self) {
        let _ = self.0.set(false);
    }

    /// Waits for the word. True: go on.
    pub(super) fn wait(&self) -> bool {
        *self.0.wait()
    }
}

impl Decision {
    /// Gives the permission, unless it has been withdrawn.
    pub fn give(self) {
        let _ = self.0.0.set(true);
    }
}

impl Drop for Decision {
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_counts() {
        let (decision, permission) = Permission::pending();
        decision.give();
        permission.withdraw();
        assert!(permission.wait());
        let (decision, permission) = Permission::pending();
        permission.withdraw();
        decision.give();
        assert!(!permission.wait());
    }

    #[test]
    fn who_does_not_decide_refuses() {
        let (decision, permission) = Permission::pending();
        let waiting = std::thread::spawn({
            let permission = permission.clone();
            move || permission.wait()
        });
        drop(decision);
        assert!(!waiting.join().unwrap());
    }
}
