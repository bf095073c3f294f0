//! Heads, and the short ways of the front.

use std::fs;

use stack_bridge::{Consumer, Flow, Job, Push, Queue, WorkerId};
use stack_front::counts::Front;
use tempfile::TempDir;

use crate::{
    marks::repeat,
    request::{BODY, FIELD_COUNT, head, response_head},
};

/// Bytes of the file that is served.
const FILE_SIZE: usize = 4000;
const FILE: &str = "/static/site.css";
const PAGE: &str = "/books/?page=2&order=title";

/// A front with a folder of files, as in production.
fn front(queue: Queue) -> (TempDir, Front) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The neighbour is written last, and so is no older.
    for (name, content) in [("site.css", b'a'), ("site.css.br", b'b')] {
        fs::write(folder.path().join(name), vec![content; FILE_SIZE]).expect("a file");
    }
    let files = format!("/static={}", folder.path().display());
    let front = Front::new(&[("profile", "prod"), ("keepalive_requests", "0"), ("static", &files)], queue);
    (folder, front)
}

/// The strict checks of a head.
pub(crate) fn check_head() {
    let (_folder, front) = front(Queue::new(1));
    let head = head(PAGE);
    repeat(|| assert_eq!(front.check(&head), Some(head.len())));
}

/// Its fields, for the application.
pub(crate) fn read_head() {
    let head = head(PAGE);
    repeat(|| assert_eq!(Front::read(&head), Some(FIELD_COUNT)));
}

/// The head of the response with a static file.
pub(crate) fn make_file_head() {
    let (_folder, front) = front(Queue::new(1));
    front.load(FILE);
    repeat(|| assert!(front.make_head(FILE).is_some_and(|length| length > 100)));
}

/// The whole answer with a static file whose head is ready.
pub(crate) fn answer_with_file() {
    let (_folder, front) = front(Queue::new(1));
    front.load(FILE);
    let head = head(FILE);
    repeat(|| assert!(front.answer(&head).is_some_and(|length| length > FILE_SIZE)));
}

/// From the head of a request to the application's queue, and from its reply to the bytes that are sent.
pub(crate) fn answer_of_application() {
    let queue = Queue::new(1);
    let mut consumer = queue.consumer(WorkerId(0));
    let (_folder, front) = front(queue);
    let head = head(PAGE);
    repeat(|| {
        let asked = front.ask(&head).expect("the short way");
        answer(&mut consumer);
        assert!(asked.answer().is_some_and(|length| length > BODY.len()));
    });
}

/// What a worker does, as briefly as it can be done.
fn answer(consumer: &mut Consumer) {
    let Job { request: _, mut responder, deadline: _, retried: _ } = consumer.take().expect("there is a job");
    let head = Some((response_head(), Flow::Buffered));
    responder.push(&mut Push { head, block: BODY, last: true, may_wait: false }).expect("somebody waits for it");
}
