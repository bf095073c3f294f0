//! The WSGI side, in an interpreter as workers have it.

use std::{
    fs,
    num::NonZeroUsize,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use stack_bridge::{Closed, Consumer, Job, Jobs, Queue, Reply, Request, WorkerId, exchange};
use stack_config::{AppSpec, Isolation};
use stack_interp::{Interpreter, InterpreterHandle, Object, Python, Raised, Runtime, RuntimeSettings, Version};
use stack_wsgi::{Overseer, Watch, WatchSettings, Watching, Worker, WorkerSettings, counts::Environ};

use crate::{
    marks::{COUNTED, WARM_UP, counting_begins, counting_ends, repeat},
    request::{BODY, limits, request},
};

/// Returns the body that all benchmarks have.
const APPLICATION: &str = r#"
def application(environ, start_response):
    body = b"Hello from an application\n"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
"#;

/// Runs something in an interpreter with a GIL of its own, or in the main one of a Python that has no other.
fn in_interpreter<R>(body: impl for<'py> FnOnce(Python<'py>, &InterpreterHandle) -> R) -> R {
    let runtime = Runtime::start(&RuntimeSettings::default()).expect("the runtime starts");
    let main = runtime.main();
    let done = if Version::linked().supports_own_gil() {
        Interpreter::run(main, body).map(|(result, _)| result)
    } else {
        main.run(|py| body(py, main))
    };
    done.expect("there is an interpreter")
}

fn expect<'py, T>(py: Python<'py>, result: Result<T, Raised<'py>>) -> T {
    result.unwrap_or_else(|raised| panic!("{}", raised.into_exception(py).traceback))
}

/// Version and build of the Python that is linked, on which the figures depend.
pub(crate) fn linked() -> String {
    fn describe<'py>(py: Python<'py>) -> Result<String, Raised<'py>> {
        let text = |object: Object<'py>| object.lossy_text(py).unwrap_or_default();
        let (platform, sysconfig) = (Object::import(py, "platform")?, Object::import(py, "sysconfig")?);
        let version = text(platform.call_method(py, "python_version", &[])?);
        let compiler = text(platform.call_method(py, "python_compiler", &[])?);
        let options = text(sysconfig.call_method(py, "get_config_var", &[&Object::str(py, "CONFIG_ARGS")?])?);
        let build = if options.contains("--enable-optimizations") { "optimized" } else { "not optimized" };
        Ok(format!("CPython {version}, {compiler}, {build}"))
    }
    in_interpreter(|py, _| expect(py, describe(py)))
}

/// The environ of one request.
pub(crate) fn environ() {
    in_interpreter(|py, _| {
        let mut environ = expect(py, Environ::new(py, request()));
        let made = expect(py, environ.make());
        assert!(expect(py, made.item(py, "HTTP_COOKIE")).is_some(), "the environ is whole");
        repeat(|| assert!(environ.make().is_ok()));
    });
}

/// From the queue through a worker's thread and the application to the reply.
pub(crate) fn gateway() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("hello.py"), APPLICATION).expect("a file");
    let worker = Worker::new(WorkerSettings {
        id: WorkerId(0),
        app: AppSpec { module: "hello".into(), callable: None },
        directory: folder.path().to_string_lossy().into_owned(),
        env: Vec::new(),
        fresh_env: None,
        threads: NonZeroUsize::MIN,
        isolation: Isolation::Interpreters,
        multiprocess: true,
        when_refused: None,
        all_threads: true,
        find_directories: false,
        when_imported: None,
    });
    let settings =
        WatchSettings { kill: Duration::from_mins(1), pause: None, slow: None, interrupt_on_disconnect: false };
    let watching = Watching { watch: Watch::start(settings).expect("a thread"), overseer: Arc::new(Nobody) };
    in_interpreter(|py, interpreter| {
        worker.load(py).expect("the application loads");
        let jobs = Box::new(OneByOne::new());
        worker.serve(py, interpreter, vec![jobs], &watching, |_| {}).expect("the worker serves");
    });
}

/// Jobs that come one at a time, each when the one before is answered.
struct OneByOne {
    queue: Queue,
    consumer: Consumer,
    requests: std::vec::IntoIter<Request>,
    taken: usize,
    reply: Option<Reply>,
}

impl OneByOne {
    fn new() -> Self {
        let queue = Queue::new(1);
        let consumer = queue.consumer(WorkerId(0));
        let requests: Vec<_> = (0..WARM_UP + COUNTED).map(|_| request()).collect();
        Self { queue, consumer, requests: requests.into_iter(), taken: 0, reply: None }
    }
}

impl Jobs for OneByOne {
    fn take(&mut self) -> Result<Job, Closed> {
        if let Some(mut reply) = self.reply.take() {
            let head = reply.poll_head(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(head, Poll::Ready(Ok(head)) if head.status.is_success()), "the application has answered");
            assert_eq!(reply.whole().as_deref(), Some(BODY));
        }
        match self.taken {
            WARM_UP => counting_begins(),
            taken if taken == WARM_UP + COUNTED => counting_ends(),
            _ => {}
        }
        self.taken += 1;
        let request = self.requests.next().ok_or(Closed)?;
        let (responder, reply) = exchange(limits());
        self.reply = Some(reply);
        self.queue
            .push(Job { request: Box::new(request), responder, deadline: None, retried: false })
            .expect("the queue has room");
        self.consumer.take()
    }
}

/// Nothing here is slow or stuck.
#[derive(Debug)]
struct Nobody;

impl Overseer for Nobody {
    fn stalled(&self) {}
    fn recovered(&self) {}
    fn given_up(self: Arc<Self>) {}
    fn came_back(&self) -> bool {
        true
    }
    fn give_back(&self, _job: Job) {}
    fn ran(&self) {}
}
