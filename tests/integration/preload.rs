//! `--preload`: one import, and workers that are forked from it.

use std::{collections::BTreeSet, fs, path::Path, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Response, Server, eventually, serve, stack};

fn server(imports: &Path) -> Server {
    serve("preloaded", &["--isolation", "processes", "--preload", "--workers", "2"]).env("IMPORTS", imports).server()
}

fn number(response: &Response, header: &str) -> u32 {
    response.header(header).unwrap().parse().unwrap()
}

/// The processes that answer, and the one that they were forked from.
fn answering(server: &Server) -> (BTreeSet<u32>, u32) {
    let responses: Vec<_> = thread::scope(|scope| {
        let getting: Vec<_> = (0..16).map(|_| scope.spawn(|| server.get("/").expect(200))).collect();
        getting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let imported_in: BTreeSet<_> = responses.iter().map(|response| number(response, "x-imported-in")).collect();
    assert_eq!(imported_in.len(), 1, "all share one import");
    (responses.iter().map(|response| number(response, "x-pid")).collect(), *imported_in.first().unwrap())
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).expect("a process of our server");
}

#[test]
fn the_application_is_imported_once_and_forked_workers_serve_it() {
    let folder = tempfile::tempdir().unwrap();
    let imports = folder.path().join("imports");
    let server = server(&imports);
    let (workers, template) = answering(&server);
    assert!(!workers.contains(&template), "what they were forked from serves nothing");
    assert_eq!(fs::read_to_string(&imports).unwrap(), format!("{template}\n"));
    server.stop();
}

#[test]
fn a_worker_that_dies_is_replaced_without_another_import() {
    let folder = tempfile::tempdir().unwrap();
    let imports = folder.path().join("imports");
    let server = server(&imports);
    let (workers, template) = answering(&server);
    let dead = *workers.first().unwrap();
    kill(dead);
    let line = server.wait_for_line("STACK0313");
    assert!(line.contains("SIGKILL") && line.contains(&format!("pid={dead}")), "{line}");
    server.wait_for_line("a worker process was started again");
    eventually("an answer from the new worker", || {
        let (now, same) = answering(&server);
        assert_eq!(same, template);
        (!now.contains(&dead) && !now.is_subset(&workers)).then_some(())
    });
    assert_eq!(fs::read_to_string(&imports).unwrap().lines().count(), 1);
    // The exit code comes from the process that the worker was forked from.
    let mut connection = server.connect();
    connection.request("POST", "/exit", &[], b"").expect(502);
    server
        .process()
        .wait_for("the exit code", |lines| lines.iter().any(|line| line.text.contains("exit code 3")).then_some(()));
    server.stop();
}

#[test]
fn the_process_that_workers_are_forked_from_may_die_and_is_started_again_when_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let imports = folder.path().join("imports");
    let server = server(&imports);
    let (workers, template) = answering(&server);
    kill(template);
    server.wait_for_line("STACK0317");
    assert_eq!(answering(&server), (workers.clone(), template), "its workers serve on");
    for worker in workers {
        kill(worker);
    }
    eventually("workers of another import", || {
        let pids = server.process().pids();
        (pids.len() >= 3 && !pids.contains(&template)).then_some(())
    });
    eventually("both imports to be noted", || {
        (fs::read_to_string(&imports).unwrap().lines().count() == 2).then_some(())
    });
    server.wait_for_line("a worker process was started again");
    assert_ne!(number(&server.get("/").expect(200), "x-imported-in"), template);
    server.stop();
}

#[test]
fn an_application_that_starts_threads_when_imported_is_refused_with_their_names() {
    let source = "import threading\nthreading.Thread(target=threading.Event().wait, name='scheduler', daemon=True).start()\n\
                  def application(environ, start_response): pass\n";
    for command in ["serve", "check"] {
        stack([command, "--bind", "127.0.0.1:0", "--isolation", "processes", "--preload", "--app", "app"])
            .file("app.py", source)
            .run()
            .expect(1)
            .says(&["can not be preloaded", "starts threads (scheduler)"]);
    }
}

#[test]
fn an_application_that_does_not_import_is_a_start_error() {
    stack(["serve", "--bind", "127.0.0.1:0", "--isolation", "processes", "--preload", "--app", "app"])
        .file("app.py", "import nowhere_to_be_found\n")
        .run()
        .expect(1)
        .says(&["nowhere_to_be_found", "app.py"]);
}
