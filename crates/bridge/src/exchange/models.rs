//! Every interleaving of the two ends, under loom: `RUSTFLAGS="--cfg loom" cargo test -p stack-bridge --release`.

use loom::{future::block_on, thread};

use super::*;
use crate::{
    Push, Queue,
    testing::{limits, ok_head},
};

fn drain(reply: &mut Reply) -> (usize, Option<Failure>) {
    let mut bytes = 0;
    loop {
        match block_on(poll_fn(|context| reply.poll_chunk(context))) {
            None => return (bytes, None),
            Some(Err(failure)) => return (bytes, Some(failure)),
            Some(Ok(Chunk::Memory(block))) => bytes += block.len(),
            Some(Ok(Chunk::Spill { .. } | Chunk::File(_))) => unreachable!("no file in this model"),
        }
    }
}

#[test]
fn a_waiting_reader_is_woken_and_a_waiting_worker_goes_on() {
    loom::model(|| {
        let (mut responder, mut reply) = exchange(limits(1, 0));
        let worker = thread::spawn(move || {
            responder.push(&mut Push {
                head: Some((ok_head(), Flow::Buffered)),
                block: b"ab",
                last: true,
                may_wait: false,
            })
        });
        assert!(block_on(reply.head()).is_ok());
        assert_eq!(drain(&mut reply), (2, None));
        worker.join().unwrap().unwrap();
    });
}

#[test]
fn a_reader_that_leaves_at_any_point_releases_the_worker() {
    loom::model(|| {
        let (mut responder, reply) = exchange(limits(1, 0));
        let reader = thread::spawn(move || drop(reply));
        let outcome = responder.push(&mut Push {
            head: Some((ok_head(), Flow::Buffered)),
            block: b"ab",
            last: true,
            may_wait: false,
        });
        assert_eq!(outcome, Err(SendError::ClientGone));
        reader.join().unwrap();
    });
}

#[test]
fn a_job_is_answered_whether_it_is_pushed_taken_or_dropped() {
    loom::model(|| {
        let queue = Queue::new(1);
        let mut consumer = queue.consumer(WorkerId(0));
        let worker = thread::spawn(move || {
            while let Ok(job) = consumer.take() {
                job.responder.fail(Failure::Application);
            }
        });
        let (job, mut reply) = crate::testing::job();
        queue.push(job).unwrap();
        queue.close();
        assert_eq!(block_on(reply.head()), Err(Failure::Application));
        worker.join().unwrap();
    });
}

#[test]
fn a_job_that_meets_a_task_which_is_leaving_goes_to_another() {
    loom::model(|| {
        let queue = Queue::new(1);
        let mut leaving = queue.task_consumer(WorkerId(0));
        let task = thread::spawn(move || {
            let mut context = Context::from_waker(Waker::noop());
            let mut take = std::pin::pin!(leaving.take(|_| std::future::ready(())));
            match take.as_mut().poll(&mut context) {
                Poll::Ready(Ok(job)) => Some(job),
                Poll::Ready(Err(_)) | Poll::Pending => None,
            }
            // Here it leaves, with a letter on its way or not.
        });
        let (job, mut reply) = crate::testing::job();
        queue.push(job).unwrap();
        if let Some(job) = task.join().unwrap() {
            queue.give_back(job);
        }
        let job = queue.consumer(WorkerId(1)).take().unwrap();
        job.responder.fail(Failure::Application);
        assert_eq!(block_on(reply.head()), Err(Failure::Application));
    });
}

#[test]
fn a_task_that_waits_is_woken_by_a_job_and_by_the_end() {
    loom::model(|| {
        let queue = Queue::new(1);
        let mut consumer = queue.task_consumer(WorkerId(0));
        let task = thread::spawn(move || {
            block_on(async {
                while let Ok(job) = consumer.take(|_| std::future::ready(())).await {
                    job.responder.fail(Failure::Application);
                }
            });
        });
        let (job, mut reply) = crate::testing::job();
        queue.push(job).unwrap();
        queue.close();
        assert_eq!(block_on(reply.head()), Err(Failure::Application));
        task.join().unwrap();
    });
}
