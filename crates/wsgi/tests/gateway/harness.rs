//! A pool with one application and no sockets: jobs are made by hand, responses read without a runtime.

use std::{
    ffi::OsString,
    future::Future,
    num::NonZeroUsize,
    os::unix::fs::FileExt,
    path::Path,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use stack_bridge::{
    BodyLimits, Chunk, Failure, Job, Local, Peer, Queue, Reply, Request, RequestBody, RequestId, Scheme, WorkerId,
    WorkerState, exchange,
};
use stack_config::{AppSpec, Callable, Recycling};
use stack_interp::{InterpreterHandle, Runtime, RuntimeSettings, Version as PythonVersion};
use stack_wsgi::{Place, Pool, PoolSettings, Rest, StartError, WatchSettings, WhenWorn};

pub(crate) fn main_interpreter() -> &'static InterpreterHandle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::start(&RuntimeSettings::default()).expect("the runtime starts")).main()
}

/// Whether the linked Python can give each test's application an interpreter; the tests of the others end early. On a
/// free-threaded build that is one whose threads run at once.
pub(crate) fn can_run() -> bool {
    let linked = PythonVersion::linked();
    linked.supports_own_gil() || linked.is_free_threaded()
}

/// Wraps the application that the source defines as `app`.
pub(crate) const VALIDATED: &str = "\nfrom wsgiref.validate import validator\napplication = validator(app)\n";

/// A running application. Its folder is first on `sys.path` and goes with it.
pub(crate) struct App {
    pub(crate) folder: tempfile::TempDir,
    pool: Option<Pool>,
    queue: Queue,
}

impl App {
    /// An application that passes through wsgiref's validator.
    pub(crate) fn validated(source: &str) -> Self {
        Self::start(&format!("{source}{VALIDATED}"), 2).expect("the application loads")
    }

    /// One that the validator itself would refuse.
    pub(crate) fn plain(source: &str) -> Self {
        Self::start(source, 2).expect("the application loads")
    }

    /// The same with a single thread: it takes a request when the one before is over, not only answered.
    pub(crate) fn one_by_one(source: &str) -> Self {
        Self::start(source, 1).expect("the application loads")
    }

    pub(crate) fn start(source: &str, threads: usize) -> Result<Self, StartError> {
        Self::load(source, "application_under_test", None, threads)
    }

    /// The same with other settings.
    pub(crate) fn start_with(
        source: &str,
        threads: usize,
        change: impl FnOnce(&mut PoolSettings),
    ) -> Result<Self, StartError> {
        Self::start_asking(source, threads, change, None)
    }

    /// The same with somebody to ask for a new process.
    pub(crate) fn start_asking(
        source: &str,
        threads: usize,
        change: impl FnOnce(&mut PoolSettings),
        when_worn: Option<Arc<dyn WhenWorn>>,
    ) -> Result<Self, StartError> {
        let (folder, mut settings) = settings(source, "application_under_test", None, threads);
        change(&mut settings);
        Self::run(folder, settings, when_worn)
    }

    pub(crate) fn load(
        source: &str,
        module: &str,
        callable: Option<Callable>,
        threads: usize,
    ) -> Result<Self, StartError> {
        Self::load_beside_others(source, module, callable, threads, None)
    }

    /// The same, where other applications have run in this process, which was started with these variables.
    pub(crate) fn load_beside_others(
        source: &str,
        module: &str,
        callable: Option<Callable>,
        threads: usize,
        fresh_env: Option<Arc<[(OsString, OsString)]>>,
    ) -> Result<Self, StartError> {
        let (folder, settings) = settings(source, module, callable, threads);
        Self::run(folder, PoolSettings { fresh_env, ..settings }, None)
    }

    fn run(
        folder: tempfile::TempDir,
        settings: PoolSettings,
        when_worn: Option<Arc<dyn WhenWorn>>,
    ) -> Result<Self, StartError> {
        let queue = Queue::new(16);
        let pool = Pool::start(main_interpreter(), settings, queue.clone(), when_worn)?;
        Ok(Self { folder, pool: Some(pool), queue })
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.pool.as_ref().expect("it runs")
    }

    pub(crate) fn take_rest(&mut self) -> Option<Rest> {
        self.pool.as_mut().expect("it runs").take_rest()
    }

    pub(crate) fn wait_for_states(&self, expected: &[WorkerState]) {
        let reached = self.pool().wait_for_states(Duration::from_secs(30), |states| states == expected);
        reached.unwrap_or_else(|states| panic!("{states:?} instead of {expected:?}"));
    }

    pub(crate) fn push(&self, request: Request, limits: BodyLimits) -> Reply {
        let (responder, reply) = exchange(limits);
        self.queue
            .push(Job { request: Box::new(request), responder, deadline: None, retried: false })
            .expect("the queue has room");
        reply
    }

    pub(crate) fn send(&self, request: Request) -> Response {
        read(self.push(request, limits(1 << 20)))
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send(get(path))
    }

    /// Answers are still right after whatever came before.
    pub(crate) fn assert_alive(&self, path: &str) {
        assert_eq!(self.get(path).status(), StatusCode::OK);
    }

    /// How many workers are stuck after a stop that waits no longer than `timeout`.
    pub(crate) fn stop_within(mut self, timeout: Duration) -> usize {
        self.pool.take().unwrap().stop(timeout).stuck
    }

    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        let stopped = self.pool.take().unwrap().stop(Duration::from_secs(20));
        assert_eq!(stopped.stuck, 0);
        let Self { folder, pool: _, queue: _ } = self;
        folder
    }
}

fn settings(
    source: &str,
    module: &str,
    callable: Option<Callable>,
    threads: usize,
) -> (tempfile::TempDir, PoolSettings) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("application_under_test.py"), source).unwrap();
    let settings = PoolSettings {
        app: AppSpec { module: module.into(), callable },
        directory: folder.path().to_str().unwrap().into(),
        env: vec![("STACK_TEST_VARIABLE".into(), "from the environment file".into())],
        fresh_env: None,
        first: WorkerId(0),
        place: Place::OwnInterpreters(NonZeroUsize::MIN),
        threads: NonZeroUsize::new(threads).unwrap(),
        when_refused: None,
        find_directories: false,
        when_imported: None,
        watch: WatchSettings { kill: Duration::from_mins(1), pause: None, slow: None, interrupt_on_disconnect: false },
        recycling: Recycling::default(),
        permission: None,
        opens_early: false,
    };
    (folder, settings)
}

pub(crate) fn limits(memory: usize) -> BodyLimits {
    BodyLimits { memory, spill: 1 << 30, directory: Path::new("/tmp").into() }
}

pub(crate) fn get(path: &str) -> Request {
    request(Method::GET, path, RequestBody::Empty)
}

pub(crate) fn post(path: &str, body: &'static [u8]) -> Request {
    let mut request = request(Method::POST, path, RequestBody::Memory(Bytes::from_static(body)));
    request.headers.insert("content-length", HeaderValue::from(body.len()));
    request
}

pub(crate) fn request(method: Method, target: &str, body: RequestBody) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        id: RequestId(7),
        method,
        target: Bytes::copy_from_slice(target.as_bytes()),
        path: Bytes::copy_from_slice(path.as_bytes()),
        script_name: Bytes::new(),
        query: Bytes::copy_from_slice(query.as_bytes()),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        scheme: Scheme::Http,
        tls: None,
        peer: Peer::Tcp("127.0.0.1:4000".parse().unwrap()),
        local: Arc::new(Local { name: "127.0.0.1".into(), port: "8000".into() }),
        body,
        connection: None,
        received_at: Instant::now(),
        details: None,
    }
}

pub(crate) fn with_header(mut request: Request, name: &str, value: &str) -> Request {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    request.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    request
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: Result<stack_bridge::ResponseHead, Failure>,
    pub(crate) body: Vec<u8>,
    /// Why the body ended before its end.
    pub(crate) cut: Option<Failure>,
    /// How many pieces it came in.
    pub(crate) pieces: usize,
    /// Whether a file was sent from its descriptor.
    pub(crate) from_file: bool,
}

impl Response {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.as_ref().expect("a head").status
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref().expect("a head").headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn read(mut reply: Reply) -> Response {
    let head = block_on(reply.head());
    let mut response =
        Response { cut: head.as_ref().err().copied(), head, body: Vec::new(), pieces: 0, from_file: false };
    while response.cut.is_none() {
        match block_on(std::future::poll_fn(|context| reply.poll_chunk(context))) {
            None => break,
            Some(Err(failure)) => response.cut = Some(failure),
            Some(Ok(Chunk::Memory(bytes))) => response.body.extend_from_slice(&bytes),
            Some(Ok(Chunk::Spill { file, offset, length })) => {
                response.body.extend(read_at(&file, offset, length));
                reply.consumed(length);
            }
            Some(Ok(Chunk::File(region))) => {
                response.body.extend(read_at(&region.file, region.offset, region.length));
                response.from_file = true;
            }
        }
        response.pieces += 1;
    }
    response
}

fn read_at(file: &std::fs::File, offset: u64, length: u64) -> Vec<u8> {
    let mut block = vec![0; usize::try_from(length).unwrap()];
    file.read_exact_at(&mut block, offset).unwrap();
    block
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(Duration::from_secs(1));
        assert!(Instant::now() < deadline, "no answer");
    }
}
