//! How many connections each address has open.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::networks::AddressKey;

/// The addresses with open connections. There are never more of them than connections.
#[derive(Debug)]
pub(crate) struct PerAddress {
    most: NonZeroU32,
    open: Mutex<HashMap<AddressKey, u32>>,
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    addresses: Arc<PerAddress>,
    key: AddressKey,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl PerAddress {
    pub(crate) fn new(most: NonZeroU32) -> Self {
        Self { most, open: Mutex::default() }
    }

    /// Counts a connection, unless its address has as many as it may.
    pub(crate) fn hold(self: &Arc<Self>, key: AddressKey) -> Option<Held> {
        let mut open = self.open();
        let count = open.entry(key).or_default();
        if *count >= self.most.get() {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Held { addresses: Arc::clone(self), key })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<AddressKey, u32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut open = self.addresses.open();
        let count = open.get_mut(&self.key).expect("counted while it is held");
        *count -= 1;
        if *count == 0 {
            open.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_connections_as_it_may_and_no_more() {
        let addresses = Arc::new(PerAddress::new(NonZeroU32::new(2).unwrap()));
        let held = [addresses.hold(AddressKey::V4(1)).unwrap(), addresses.hold(AddressKey::V4(1)).unwrap()];
        assert_eq!(addresses.hold(AddressKey::V4(1)), None);
        let _other = addresses.hold(AddressKey::V6(1)).unwrap();
        drop(held);
        assert!(addresses.hold(AddressKey::V4(1)).is_some());
    }

    #[test]
    fn an_address_without_connections_leaves_nothing_behind() {
        let addresses = Arc::new(PerAddress::new(NonZeroU32::MIN));
        for address in 0..10_000 {
            drop(addresses.hold(AddressKey::V4(address)).unwrap());
        }
        assert_eq!(addresses.open().len(), 0);
        assert!(addresses.open().capacity() < 16);
    }
}
