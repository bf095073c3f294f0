//! Requests that run past their deadlines, and what becomes of their worker.

use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};

use stack_bridge::{Job, WorkerState, exchange};
use stack_config::Recycling;
use stack_interp::Version;
use stack_wsgi::{PoolSettings, WatchSettings};

use crate::harness::{App, can_run, get, limits, read};

const SOURCE: &str = r#"
import time

marks = []

def application(environ, start_response):
    path = environ["PATH_INFO"]
    try:
        if path == "/spin":
            while True:
                pass
        if path == "/sleep":
            time.sleep(float(environ["QUERY_STRING"]))
        if path == "/compute":
            end = time.perf_counter() + float(environ["QUERY_STRING"])
            while time.perf_counter() < end:
                pass
    except TimeoutError as error:
        import stack
        assert type(error) is stack.RequestTimeout
        marks.append(path)
        raise
    start_response("200 OK", [])
    return [repr(marks).encode()]
"#;

fn app(kill: Duration, recycling: Recycling) -> App {
    let change = |settings: &mut PoolSettings| {
        settings.watch = WatchSettings { kill, pause: None, slow: None, interrupt_on_disconnect: false };
        settings.recycling = recycling;
    };
    App::start_with(SOURCE, 1, change).expect("the application loads")
}

impl App {
    /// Asks with a deadline, and waits for the answer, whatever it is.
    fn ask_within(&self, target: &str, timeout: Duration) -> bool {
        let (responder, reply) = exchange(limits(1 << 20));
        let deadline = Some(Instant::now() + timeout);
        let job = Job { request: Box::new(get(target)), responder, deadline, retried: false };
        self.queue().push(job).expect("the queue has room");
        read(reply).head.is_ok()
    }
}

#[test]
fn an_exception_is_raised_in_a_request_past_its_deadline_and_its_thread_goes_on() {
    if !can_run() {
        return;
    }
    let app = app(Duration::from_mins(1), Recycling::default());
    assert!(!app.ask_within("/spin", Duration::from_millis(50)));
    assert_eq!(app.get("/").text(), "['/spin']");
    app.stop();
}

#[test]
fn an_exception_on_its_way_never_reaches_the_next_request() {
    if !can_run() {
        return;
    }
    let app = app(Duration::from_mins(1), Recycling::default());
    let (mut interrupted, mut in_time, mut takes) = (0, 0, 0.005);
    for round in 0..150 {
        // Stays where some end just before the exception, and some just after.
        if app.ask_within(&format!("/compute?{takes}"), Duration::from_millis(1)) {
            in_time += 1;
            takes *= 1.07;
        } else {
            interrupted += 1;
            takes *= 0.93;
        }
        assert_eq!(app.get("/").status(), 200, "round {round}");
    }
    assert!(interrupted > 10 && in_time > 10, "{interrupted} interrupted, {in_time} in time");
    let marks = app.get("/").text().matches("/compute").count();
    assert!(marks <= interrupted, "each of {marks} knows that it was");
    app.stop();
}

#[test]
fn a_worker_that_is_stuck_has_a_successor_and_ends_when_it_is_not_stuck_any_more() {
    if !can_run() {
        return;
    }
    let app = app(Duration::from_millis(50), Recycling::default());
    assert_eq!(app.pool().states(), [WorkerState::Ready]);
    let (responder, reply) = exchange(limits(1 << 20));
    let deadline = Some(Instant::now() + Duration::from_millis(50));
    app.queue().push(Job { request: Box::new(get("/sleep?3")), responder, deadline, retried: false }).expect("room");
    app.wait_for_states(&[WorkerState::Abandoned, WorkerState::Ready]);
    assert_eq!(app.get("/").text(), "[]", "another interpreter");
    // What sleep returns to is the exception, and then there is nothing left to do.
    app.wait_for_states(&[WorkerState::Ready]);
    assert!(read(reply).head.is_err());
    app.stop();
}

#[test]
fn a_worker_that_has_run_its_requests_is_replaced_where_it_can_be_ended() {
    let linked = Version::linked();
    if !can_run() || linked.is_free_threaded() || linked < (Version { major: 3, minor: 14, free_threaded: false }) {
        return;
    }
    let recycling = Recycling { max_requests: NonZeroU64::new(3), ..Recycling::default() };
    let app = app(Duration::from_mins(1), recycling);
    for _ in 0..20 {
        app.assert_alive("/");
    }
    app.wait_for_states(&[WorkerState::Ready]);
    app.stop();
}

/// Who is asked for a new process, and says that there will be one.
#[derive(Debug, Default)]
struct Asked(std::sync::Mutex<Vec<stack_wsgi::Worn>>);

impl stack_wsgi::WhenWorn for Asked {
    fn replace_process(&self, why: stack_wsgi::Worn) -> bool {
        self.0.lock().unwrap().push(why);
        true
    }
}

#[test]
fn a_new_process_is_asked_for_when_too_many_workers_are_stuck() {
    if !can_run() {
        return;
    }
    let asked = Arc::new(Asked::default());
    let change = |settings: &mut PoolSettings| {
        settings.watch =
            WatchSettings { kill: Duration::from_millis(20), pause: None, slow: None, interrupt_on_disconnect: false };
    };
    let app = App::start_asking(SOURCE, 1, change, Some(asked.clone())).expect("the application loads");
    let mut replies = Vec::new();
    for stuck in 1..=2 {
        let (responder, reply) = exchange(limits(1 << 20));
        let deadline = Some(Instant::now() + Duration::from_millis(20));
        app.queue()
            .push(Job { request: Box::new(get("/sleep?600")), responder, deadline, retried: false })
            .expect("room");
        replies.push(reply);
        let mut expected = vec![WorkerState::Abandoned; stuck];
        expected.push(WorkerState::Ready);
        app.wait_for_states(&expected);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while asked.0.lock().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "nobody asked");
        std::thread::yield_now();
    }
    assert_eq!(*asked.0.lock().unwrap(), [stack_wsgi::Worn::Abandoned]);
    app.assert_alive("/");
    assert_eq!(app.stop_within(Duration::from_secs(20)), 0, "those that are stuck are not waited for");
}
