//! Who has the jobs that were sent ahead: the worker claims each before it begins, and the server takes back what is left.

use std::{io, os::fd::OwnedFd};

use rustix::{
    event::{EventfdFlags, eventfd},
    io::Errno,
};

/// How many jobs that were sent to a lane the worker has yet to claim.
///
/// A counter in the kernel (`eventfd`, as a semaphore), because both sides may reach for the last one at once, and what a
/// worker that dies had claimed is known all the same.
#[derive(Debug)]
pub(crate) struct Claims(OwnedFd);

impl Claims {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::SEMAPHORE | EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
    }

    /// The other side's of the same counter.
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }

    /// So many jobs more can be claimed.
    pub(crate) fn offer(&self, jobs: usize) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.0, &(jobs as u64).to_ne_bytes()) {
                Err(Errno::INTR) => {}
                outcome => return Ok(outcome.map(drop)?),
            }
        }
    }

    /// Claims the job that was sent first of those that are left. False where the server has taken it back.
    pub(crate) fn claim(&self) -> io::Result<bool> {
        loop {
            match rustix::io::read(&self.0, &mut [0; 8]) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(false),
                outcome => return Ok(outcome.map(|_| true)?),
            }
        }
    }

    /// Takes back the jobs that were not claimed, which were sent last: of so many at most. Tells how many.
    pub(crate) fn take_back(&self, most: usize) -> io::Result<usize> {
        let mut jobs = 0;
        while jobs < most && self.claim()? {
            jobs += 1;
        }
        Ok(jobs)
    }
}

impl From<OwnedFd> for Claims {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_claimed_or_taken_back() {
        let server = Claims::new().unwrap();
        let worker = Claims::from(server.descriptor().try_clone().unwrap());
        assert!(!worker.claim().unwrap());
        server.offer(3).unwrap();
        assert!(worker.claim().unwrap());
        assert_eq!(server.take_back(8).unwrap(), 2);
        assert!(!worker.claim().unwrap());
        assert_eq!(server.take_back(8).unwrap(), 0);
    }

    #[test]
    fn both_sides_may_reach_for_the_same_one() {
        let server = Claims::new().unwrap();
        for _ in 0..200 {
            server.offer(8).unwrap();
            let claimed = std::thread::scope(|scope| {
                let worker = scope.spawn(|| (0..8).filter(|_| server.claim().unwrap()).count());
                let taken_back = server.take_back(8).unwrap();
                worker.join().unwrap() + taken_back
            });
            assert_eq!(claimed + server.take_back(8).unwrap(), 8);
        }
    }
}
