//! HTTP/2, spoken by the client of another library; and by one of our own where frames matter.

mod ends;
mod raw;
mod slow;

use std::{sync::mpsc, time::Duration};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Request, Response};
use stack_bridge::{Failure, Flow, Job, Push, RequestBody};
use stack_front::{Drained, Stop};
use tokio::{net::TcpStream, runtime::Runtime};

use crate::{
    client::PATIENCE,
    server::{Server, echo, head, respond, wait_until},
};

const SHORT: Duration = Duration::from_millis(100);

/// One connection, with everything that it does in a runtime of its own.
struct Http2 {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

type Answer = tokio::task::JoinHandle<Result<(Response<()>, Vec<u8>), h2::Error>>;

impl Http2 {
    fn connect(server: &Server) -> Self {
        Self::with_window(server, 1 << 20)
    }

    /// A client that takes this many bytes of a response before it reads.
    fn with_window(server: &Server, window: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address = server.address;
        let (requests, connection) = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut builder = Builder::new();
            builder.initial_window_size(window).initial_connection_window_size(1 << 20);
            builder.handshake::<_, Bytes>(stream).await.unwrap()
        });
        let connection = runtime.spawn(connection);
        Self { runtime, requests, connection }
    }

    fn send(&self, target: &str, body: &[u8]) -> Answer {
        let request = Request::builder().method("POST").uri(format!("http://a.example{target}")).body(()).unwrap();
        let (mut requests, body) = (self.requests.clone(), Bytes::copy_from_slice(body));
        self.runtime.spawn(async move {
            requests = requests.ready().await?;
            let (response, mut sending) = requests.send_request(request, false)?;
            sending.send_data(body, true)?;
            let (head, mut body) = response.await?.into_parts();
            let mut content = Vec::new();
            while let Some(block) = body.data().await {
                let block = block?;
                body.flow_control().release_capacity(block.len())?;
                content.extend_from_slice(&block);
            }
            Ok((Response::from_parts(head, ()), content))
        })
    }

    /// A request whose response is not read.
    fn send_and_stall(&self) -> tokio::task::JoinHandle<h2::Error> {
        let request = Request::builder().uri("http://a.example/large").body(()).unwrap();
        let mut requests = self.requests.clone();
        self.runtime.spawn(async move {
            let (response, _) = requests.send_request(request, true).unwrap();
            let mut body = response.await.unwrap().into_body();
            loop {
                match body.data().await {
                    // The window stays as small as it is.
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return error,
                    None => panic!("the whole response came"),
                }
            }
        })
    }

    fn wait<T>(&self, task: tokio::task::JoinHandle<T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, task).await }).expect("in time").unwrap()
    }

    fn answer(&self, answer: Answer) -> (u16, Vec<u8>) {
        let (head, body) = self.wait(answer).unwrap();
        (head.status().as_u16(), body)
    }
}

fn body(job: &Job) -> usize {
    match &job.request.body {
        RequestBody::Empty => 0,
        body => usize::try_from(body.len()).unwrap(),
    }
}

#[test]
fn a_request_reads_like_one_of_http_1() {
    let (jobs, job) = mpsc::channel::<Job>();
    let server = Server::with(|_| {}, move |job| jobs.send(job).unwrap());
    let client = Http2::connect(&server);
    let answer = client.send("/a%20b?c=d", b"content");
    let job = job.recv().unwrap();
    let request = &job.request;
    assert_eq!(
        (&request.target[..], &request.path[..], &request.query[..]),
        (&b"/a%20b?c=d"[..], &b"/a b"[..], &b"c=d"[..])
    );
    assert_eq!((request.headers["host"].as_bytes(), request.version), (&b"a.example"[..], http::Version::HTTP_2));
    assert_eq!(body(&job), 7);
    respond(job, b"answer");
    assert_eq!(client.answer(answer), (200, b"answer".to_vec()));
}

#[test]
fn a_large_body_arrives_whole() {
    let server = Server::with(|_| {}, echo);
    let client = Http2::connect(&server);
    let content: Vec<u8> = (0..=u8::MAX).cycle().take(900_000).collect();
    let (status, echoed) = client.answer(client.send("/", &content));
    assert_eq!((status, echoed.len()), (200, "POST /  ".len() + content.len()));
    assert!(echoed.ends_with(&content));
}

#[test]
fn requests_of_one_connection_do_not_wait_for_each_other() {
    let (jobs, job) = mpsc::channel::<Job>();
    let server = Server::with(|_| {}, move |job| jobs.send(job).unwrap());
    let client = Http2::connect(&server);
    let first = client.send("/first", b"");
    let first_job = job.recv().unwrap();
    let second = client.send("/second", b"");
    echo(job.recv().unwrap());
    assert_eq!(client.answer(second).0, 200);
    echo(first_job);
    assert_eq!(client.answer(first).0, 200);
}

#[test]
fn a_stream_that_its_client_does_not_read_is_reset_and_others_go_on() {
    let large =
        |job: Job| if &job.request.path[..] == b"/large" { respond(job, vec![0; 5_000_000]) } else { echo(job) };
    let server = Server::with(|config| config.timeouts.send = SHORT, large);
    let client = Http2::with_window(&server, 1000);
    let stalled = client.send_and_stall();
    wait_until("the stalled request", || server.snapshot().requests == 1);
    assert_eq!(client.answer(client.send("/", b"a")), (200, b"POST /  a".to_vec()));
    assert!(client.wait(stalled).is_reset());
    assert_eq!(client.answer(client.send("/", b"b")), (200, b"POST /  b".to_vec()));
    wait_until("nothing in flight", || server.snapshot().in_flight == 0);
}

#[test]
fn a_client_that_resets_its_stream_takes_its_job_with_it() {
    let (jobs, job) = mpsc::channel::<Job>();
    let server = Server::with(|_| {}, move |job| jobs.send(job).unwrap());
    let client = Http2::connect(&server);
    let answer = client.send("/", b"");
    let job = job.recv().unwrap();
    answer.abort();
    wait_until("the job knows", || job.responder.is_client_gone());
    assert!(!client.connection.is_finished());
}

#[test]
fn a_response_that_is_cut_is_reset_and_others_go_on() {
    let fail_after_a_part = |job: Job| {
        if &job.request.path[..] != b"/cut" {
            return echo(job);
        }
        let mut responder = job.responder;
        let head = Some((head(200, &[]), Flow::Buffered));
        responder.push(&mut Push { head, block: b"part", last: false, may_wait: false }).unwrap();
        responder.fail(Failure::Application);
    };
    let server = Server::with(|_| {}, fail_after_a_part);
    let client = Http2::connect(&server);
    assert!(client.wait(client.send("/cut", b"")).unwrap_err().is_reset());
    assert_eq!(client.answer(client.send("/", b"a")), (200, b"POST /  a".to_vec()));
    wait_until("nothing in flight", || server.snapshot().in_flight == 0);
}

#[test]
fn more_fields_than_may_be_are_refused() {
    let server = Server::with(|config| config.limits.max_header_fields = std::num::NonZero::new(5).unwrap(), echo);
    let client = Http2::connect(&server);
    let mut request = Request::builder().uri("http://a.example/");
    for number in 0..6 {
        request = request.header(format!("x-{number}"), "y");
    }
    let (request, mut requests) = (request.body(()).unwrap(), client.requests.clone());
    let answer = client.runtime.spawn(async move { requests.send_request(request, true).unwrap().0.await });
    assert_eq!(client.wait(answer).unwrap().status(), 431);
}

#[test]
fn a_drain_finishes_the_streams_in_flight_and_refuses_new_ones() {
    let (jobs, job) = mpsc::channel::<Job>();
    let mut server = Server::with(|_| {}, move |job| jobs.send(job).unwrap());
    let (busy, idle) = (Http2::connect(&server), Http2::connect(&server));
    let answered = idle.send("/", b"");
    echo(job.recv().unwrap());
    assert_eq!(idle.answer(answered).0, 200);
    let answer = busy.send("/", b"content");
    let job = job.recv().unwrap();
    server.order(Stop::Draining);
    let Http2 { runtime, requests, connection } = idle;
    drop(requests);
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, connection).await });
    ended.expect("closed in time").unwrap().unwrap();
    echo(job);
    assert_eq!(busy.answer(answer), (200, b"POST /  content".to_vec()));
    assert_eq!(server.drained(), Drained { cut_off: 0 });
}

#[test]
fn an_idle_connection_is_told_to_go() {
    let server = Server::with(|config| config.timeouts.idle = SHORT, echo);
    let client = Http2::connect(&server);
    assert_eq!(client.answer(client.send("/", b"")).0, 200);
    let Http2 { runtime, requests: _requests, connection } = client;
    let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, connection).await });
    ended.expect("closed in time").unwrap().unwrap();
    wait_until("no connection", || server.snapshot().connections == 0);
}

#[test]
fn a_request_in_flight_at_the_end_of_the_grace_period_is_counted() {
    let (jobs, job) = mpsc::channel::<Job>();
    let mut server = Server::with(|config| config.timeouts.grace_period = SHORT, move |job| jobs.send(job).unwrap());
    let client = Http2::connect(&server);
    let answers = [client.send("/", b""), client.send("/", b"")];
    let _jobs = [job.recv().unwrap(), job.recv().unwrap()];
    server.order(Stop::Draining);
    assert_eq!(server.drained(), Drained { cut_off: 2 });
    for answer in answers {
        assert!(client.wait(answer).is_err());
    }
}

#[test]
fn without_http2_its_preface_is_a_request_of_another_version() {
    let server = Server::with(|config| config.limits.http2 = false, echo);
    let mut client = server.client();
    assert_eq!(client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").response().status, 505);
}
