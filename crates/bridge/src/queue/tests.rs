#![expect(clippy::unwrap_used, reason = "tests")]

use std::{sync::mpsc, thread};

use super::*;
use crate::{Failure, Push, Reply, testing};

fn wait_for(queue: &Queue, reached: impl Fn(Depth) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !reached(queue.depth()) {
        assert!(Instant::now() < deadline, "stuck at {:?}", queue.depth());
        thread::yield_now();
    }
}

/// A thread that takes jobs, says which worker took one, and keeps it until it is told to go on.
fn worker(queue: &Queue, id: u16, took: &mpsc::Sender<u16>) -> mpsc::Sender<()> {
    let (go_on, wait) = mpsc::channel();
    let (mut consumer, took) = (queue.consumer(WorkerId(id)), took.clone());
    thread::spawn(move || {
        while let Ok(job) = consumer.take() {
            took.send(id).unwrap();
            let _ = wait.recv();
            job.responder.fail(Failure::Application);
        }
    });
    go_on
}

fn push(queue: &Queue) -> Reply {
    let (job, reply) = testing::job();
    queue.push(job).unwrap();
    reply
}

#[test]
fn idle_workers_get_jobs_before_busy_ones() {
    let queue = Queue::new(8);
    let (took, took_by) = mpsc::channel();
    let threads: Vec<_> = [0, 0, 0, 1, 1, 1].map(|id| worker(&queue, id, &took)).into();
    wait_for(&queue, |depth| depth.idle == 6);
    let mut replies = Vec::new();
    for busy in 1..=3 {
        replies.push(push(&queue));
        replies.push(push(&queue));
        let mut pair = [took_by.recv().unwrap(), took_by.recv().unwrap()];
        pair.sort_unstable();
        assert_eq!(pair, [0, 1], "both workers run {busy} jobs before one runs more");
    }
    assert_eq!(queue.depth(), Depth { queued: 0, running: 6, idle: 0 });
    drop(threads);
    queue.close();
}

#[test]
fn a_worker_that_has_answered_goes_before_one_that_computes() {
    let queue = Queue::new(8);
    let mut consumers: Vec<_> = [0, 0, 1, 1].map(|id| queue.consumer(WorkerId(id))).into();
    let _replies = [push(&queue), push(&queue)];
    let computing = consumers[0].take().unwrap();
    let mut answered = consumers[2].take().unwrap();
    let mut whole = Push { head: None, block: b"", last: true, may_wait: false };
    answered.responder.try_push(&mut whole).unwrap();
    // Both have a second thread that waits, and one that is not back yet.
    let (took, took_by) = mpsc::channel();
    let _threads = [worker(&queue, 0, &took), worker(&queue, 1, &took)];
    wait_for(&queue, |depth| depth.idle == 2);
    let _next = push(&queue);
    assert_eq!(took_by.recv().unwrap(), 1);
    drop((computing, answered));
}

/// One worker computes, with an idle thread; the other has answered with its only one, which is not back yet.
fn computing_and_returning(queue: &Queue) -> (Vec<Reply>, [Job; 2], [Consumer; 2]) {
    let [mut first, mut second] = [0, 1].map(|id| queue.consumer(WorkerId(id)));
    let replies = vec![push(queue), push(queue)];
    let computing = first.take().unwrap();
    let mut answered = second.take().unwrap();
    answered.responder.try_push(&mut Push { head: None, block: b"", last: true, may_wait: false }).unwrap();
    (replies, [computing, answered], [first, second])
}

#[test]
fn a_job_is_kept_for_the_worker_that_is_about_to_be_idle() {
    let queue = Queue { reserve_time: Duration::from_mins(1), ..Queue::new(8) };
    let (_replies, _jobs, [_computing, mut returning]) = computing_and_returning(&queue);
    let (took, took_by) = mpsc::channel();
    let _thread = worker(&queue, 0, &took);
    wait_for(&queue, |depth| depth.idle == 1);
    let _next = push(&queue);
    assert!(returning.take().is_ok());
    assert!(took_by.try_recv().is_err());
}

#[test]
fn a_job_that_is_kept_too_long_goes_to_the_thread_in_reserve() {
    let queue = Queue::new(8);
    let (_replies, _jobs, _consumers) = computing_and_returning(&queue);
    let (took, took_by) = mpsc::channel();
    let _thread = worker(&queue, 0, &took);
    wait_for(&queue, |depth| depth.idle == 1);
    let _next = push(&queue);
    assert_eq!(took_by.recv_timeout(Duration::from_secs(10)), Ok(0));
}

#[test]
fn a_thread_in_reserve_does_not_wait_for_what_nobody_keeps_any_more() {
    let queue = Queue { reserve_time: Duration::from_secs(1), ..Queue::new(8) };
    let (_replies, jobs, consumers) = computing_and_returning(&queue);
    let (took, took_by) = mpsc::channel();
    let _thread = worker(&queue, 0, &took);
    wait_for(&queue, |depth| depth.idle == 1);
    let _next = push(&queue);
    // The worker that was about to be back is gone.
    queue.retire(WorkerId(1));
    assert_eq!(took_by.recv_timeout(Duration::from_secs(5)), Ok(0), "after one look, not after all of them");
    drop((jobs, consumers));
}

#[test]
fn a_full_queue_refuses_and_gives_the_job_back() {
    let queue = Queue::new(1);
    let _waits = push(&queue);
    let (job, _reply) = testing::job();
    assert!(matches!(queue.push(job), Err(Refused::Full(_))));
}

#[test]
fn a_job_whose_client_left_frees_its_place_and_never_runs() {
    let queue = Queue::new(1);
    drop(push(&queue));
    let _waits = push(&queue);
    let mut consumer = queue.consumer(WorkerId(0));
    queue.close();
    drop(consumer.take().expect("the one whose client waits"));
    assert_eq!(consumer.take().unwrap_err(), Closed);
}

#[test]
fn a_closed_queue_runs_what_waits_and_takes_no_more() {
    let queue = Queue::new(2);
    let _waits = push(&queue);
    queue.close();
    let (job, _reply) = testing::job();
    assert!(matches!(queue.push(job), Err(Refused::Closed(_))));
    let mut consumer = queue.consumer(WorkerId(0));
    assert!(consumer.take().is_ok());
    assert!(consumer.take().is_err());
}

#[test]
fn close_wakes_idle_threads() {
    let queue = Queue::new(1);
    let mut consumer = queue.consumer(WorkerId(0));
    let thread = thread::spawn(move || consumer.take().map(|_| ()));
    wait_for(&queue, |depth| depth.idle == 1);
    queue.close();
    assert_eq!(thread.join().unwrap(), Err(Closed));
}

#[test]
fn cleared_jobs_are_answered() {
    let queue = Queue::new(1);
    let mut reply = push(&queue);
    assert_eq!(queue.clear(), 1);
    assert_eq!(testing::head(&mut reply), Err(Failure::Dropped));
}

/// A task that has its place among the idle ones.
fn waiting_task(queue: &Queue, id: u16) -> (TaskConsumer, impl Fn(&mut TaskConsumer) -> Option<Result<Job, Closed>>) {
    let mut consumer = queue.task_consumer(WorkerId(id));
    let poll = |consumer: &mut TaskConsumer| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let take = std::pin::pin!(consumer.take(|_| std::future::ready(())));
        match take.poll(&mut context) {
            std::task::Poll::Ready(taken) => Some(taken),
            std::task::Poll::Pending => None,
        }
    };
    assert!(poll(&mut consumer).is_none());
    (consumer, poll)
}

#[test]
fn a_task_takes_jobs_as_a_thread_does() {
    let queue = Queue::new(8);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let pushed = queue.clone();
    let thread = thread::spawn(move || {
        wait_for(&pushed, |depth| depth.idle == 1);
        push(&pushed)
    });
    let job = testing::block_on(consumer.take(|_| std::future::ready(()))).unwrap();
    assert_eq!(queue.depth(), Depth { queued: 0, running: 1, idle: 0 });
    job.responder.fail(Failure::Application);
    assert_eq!(testing::head(&mut thread.join().unwrap()), Err(Failure::Application));
    queue.close();
    assert_eq!(testing::block_on(consumer.take(|_| std::future::ready(()))).unwrap_err(), Closed);
}

#[test]
fn a_task_that_is_gone_leaves_its_job_to_another() {
    let queue = Queue::new(8);
    let (gone, _) = waiting_task(&queue, 0);
    let _reply = push(&queue);
    assert_eq!(queue.depth(), Depth { queued: 0, running: 1, idle: 0 });
    drop(gone);
    assert_eq!(queue.depth(), Depth { queued: 1, running: 0, idle: 0 });
    assert!(queue.consumer(WorkerId(1)).take().is_ok());
}

#[test]
fn a_task_that_is_gone_gets_no_job() {
    let queue = Queue::new(8);
    let (gone, _) = waiting_task(&queue, 0);
    drop(gone);
    let _reply = push(&queue);
    assert_eq!(queue.depth(), Depth { queued: 1, running: 0, idle: 0 });
}

#[test]
fn a_job_that_is_given_back_goes_before_those_that_wait() {
    let queue = Queue::new(1);
    let mut consumer = queue.consumer(WorkerId(0));
    let _first = push(&queue);
    let mut job = consumer.take().unwrap();
    job.request.id = crate::RequestId(7);
    let _second = push(&queue);
    queue.give_back(job);
    assert_eq!(queue.depth().queued, 2, "the capacity is no reason to lose it");
    assert_eq!(consumer.take().unwrap().request.id, crate::RequestId(7));
}

#[test]
fn a_job_given_back_to_a_closed_queue_fails() {
    let queue = Queue::new(1);
    let mut consumer = queue.consumer(WorkerId(0));
    let mut reply = push(&queue);
    let job = consumer.take().unwrap();
    queue.close();
    queue.give_back(job);
    assert_eq!(testing::head(&mut reply), Err(Failure::WorkerGone));
}

#[test]
fn a_retired_worker_gets_no_more_jobs() {
    let queue = Queue::new(8);
    let mut busy = queue.consumer(WorkerId(0));
    let (mut idle, poll) = waiting_task(&queue, 0);
    let _first = push(&queue);
    let job = poll(&mut idle).unwrap().unwrap();
    let _second = push(&queue);
    let second = busy.take().unwrap();
    queue.retire(WorkerId(0));
    let _third = push(&queue);
    drop((job, second));
    assert_eq!(busy.take().unwrap_err(), Closed);
    assert_eq!(poll(&mut idle).unwrap().unwrap_err(), Closed);
    assert!(queue.consumer(WorkerId(1)).take().is_ok(), "the third goes to another");
}

#[test]
fn clients_that_left_do_not_count_against_those_that_come() {
    let queue = Queue::shedding(usize::MAX, Some(Duration::from_millis(2)));
    let (took, took_by) = mpsc::channel();
    let _thread = worker(&queue, 0, &took);
    let _running = push(&queue);
    took_by.recv().unwrap();
    let (mut waiting, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(10));
    loop {
        let (job, reply) = testing::job();
        match queue.push(job) {
            Ok(()) => waiting.push(reply),
            Err(Refused::Overloaded(_)) => break,
            Err(refused) => panic!("{refused:?}"),
        }
        assert!(Instant::now() < deadline, "nothing is shed");
        thread::yield_now();
    }
    drop(waiting);
    let _next = push(&queue);
    assert_eq!(queue.depth().queued, 1);
}

/// The numbers of the requests, in this order.
fn ids(jobs: &VecDeque<Job>) -> Vec<u64> {
    jobs.iter().map(|job| job.request.id.0).collect()
}

/// Jobs 1 to `count` wait.
fn push_numbered(queue: &Queue, count: u64) -> Vec<Reply> {
    let number = |id| {
        let (mut job, reply) = testing::job();
        job.request.id = crate::RequestId(id);
        queue.push(job).unwrap();
        reply
    };
    (1..=count).map(number).collect()
}

#[test]
fn a_thread_takes_no_more_ahead_than_its_share() {
    for (waiting, threads, expected) in [(9, 1, 4), (9, 3, 3), (2, 3, 0), (3, 3, 1), (0, 1, 0)] {
        let queue = Queue::new(16);
        let mut consumers: Vec<_> = (0..threads).map(|id| queue.task_consumer(WorkerId(id))).collect();
        let _replies = push_numbered(&queue, waiting);
        let ahead = consumers[0].take_ahead(4, |_| true);
        assert_eq!(ids(&ahead), (1..=expected).collect::<Vec<_>>(), "{waiting} for {threads}");
        assert_eq!(queue.depth().queued, usize::try_from(waiting).unwrap(), "they wait until the thread begins");
    }
}

#[test]
fn nothing_is_taken_ahead_that_does_not_fit_or_has_no_client_or_by_a_worker_that_gets_no_jobs() {
    let queue = Queue::new(16);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let mut replies = push_numbered(&queue, 4);
    drop(replies.remove(1));
    let ahead = consumer.take_ahead(4, |job| job.request.id.0 < 4);
    assert_eq!(ids(&ahead), [1, 3]);
    assert_eq!(queue.depth().queued, 3);
    queue.current_crew(WorkerId(0)).hold();
    assert!(consumer.take_ahead(4, |_| true).is_empty());
}

#[test]
fn jobs_taken_ahead_are_run_one_by_one_or_come_back_in_their_order() {
    let queue = Queue::new(16);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let _replies = push_numbered(&queue, 5);
    let take = |consumer: &mut TaskConsumer| testing::block_on(consumer.take(|_| std::future::ready(()))).unwrap();
    let first = take(&mut consumer);
    let mut ahead = consumer.take_ahead(3, |_| true);
    assert_eq!((first.request.id.0, ids(&ahead)), (1, vec![2, 3, 4]));
    assert_eq!(queue.depth(), Depth { queued: 4, running: 1, idle: 0 });
    consumer.begin(&ahead.pop_front().unwrap());
    assert_eq!(queue.depth(), Depth { queued: 3, running: 1, idle: 0 });
    // Also while the server stops: they were accepted.
    queue.close();
    consumer.give_back_ahead(None, ahead);
    assert_eq!([3, 4, 5], [(); 3].map(|()| take(&mut consumer).request.id.0));
    assert_eq!(queue.depth(), Depth { queued: 0, running: 1, idle: 0 });
}

#[test]
fn threads_that_are_idle_get_what_comes_back_in_its_order() {
    let queue = Queue::new(16);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let _replies = push_numbered(&queue, 4);
    let mut ahead = consumer.take_ahead(4, |_| true);
    let current = ahead.pop_front().unwrap();
    consumer.begin(&current);
    let others = [waiting_task(&queue, 1), waiting_task(&queue, 2)];
    consumer.give_back_ahead(Some(current), ahead);
    assert_eq!(queue.depth(), Depth { queued: 2, running: 2, idle: 0 });
    let mut taken = others.map(|(mut other, poll)| poll(&mut other).unwrap().unwrap().request.id.0);
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
}

#[test]
fn a_thread_that_is_gone_has_nothing_ahead() {
    let queue = Queue::new(16);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let _replies = push_numbered(&queue, 3);
    let ahead = consumer.take_ahead(3, |_| true);
    assert_eq!(queue.depth().queued, 3);
    drop(consumer);
    assert_eq!(queue.depth().queued, 0, "whoever dropped it has them");
    drop(ahead);
}

#[test]
fn what_came_back_is_not_taken_ahead_again() {
    let queue = Queue::new(16);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let _replies = push_numbered(&queue, 4);
    let ahead = consumer.take_ahead(2, |_| true);
    consumer.give_back_ahead(None, ahead);
    assert!(consumer.take_ahead(2, |_| true).is_empty());
    assert_eq!(testing::block_on(consumer.take(|_| std::future::ready(()))).unwrap().request.id.0, 1);
}

#[test]
fn jobs_that_are_ahead_count_against_the_capacity() {
    let queue = Queue::new(3);
    let mut consumer = queue.task_consumer(WorkerId(0));
    let _replies = push_numbered(&queue, 3);
    let ahead = consumer.take_ahead(3, |_| true);
    assert_eq!(ahead.len(), 3);
    assert!(matches!(queue.push(testing::job().0), Err(Refused::Full(_))));
}

#[test]
fn while_jobs_are_ahead_no_thread_of_a_closed_queue_leaves() {
    let queue = Queue::new(16);
    let (mut idle, poll) = waiting_task(&queue, 1);
    let mut busy = queue.task_consumer(WorkerId(0));
    let _replies = push_numbered(&queue, 4);
    let first = poll(&mut idle).unwrap().unwrap();
    let ahead = busy.take_ahead(1, |_| true);
    queue.close();
    assert_eq!(ids(&ahead), [2]);
    for id in 3..=4 {
        assert_eq!(poll(&mut idle).unwrap().unwrap().request.id.0, id);
    }
    assert!(poll(&mut idle).is_none(), "one may come back");
    busy.give_back_ahead(None, ahead);
    assert_eq!(poll(&mut idle).unwrap().unwrap().request.id.0, 2);
    assert_eq!(poll(&mut idle).unwrap().unwrap_err(), Closed);
    drop(first);
}

#[test]
fn threads_that_waited_for_jobs_that_are_ahead_are_told_when_none_is_any_more() {
    let queue = Queue::new(16);
    let (mut idle, poll) = waiting_task(&queue, 1);
    let mut busy = queue.task_consumer(WorkerId(0));
    let _replies = push_numbered(&queue, 3);
    let first = poll(&mut idle).unwrap().unwrap();
    let ahead = busy.take_ahead(1, |_| true);
    let _third = poll(&mut idle).unwrap().unwrap();
    queue.close();
    assert!(poll(&mut idle).is_none());
    busy.begin(&ahead[0]);
    assert_eq!(poll(&mut idle).unwrap().unwrap_err(), Closed);
    drop(first);
}
