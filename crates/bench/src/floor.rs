//! The least that an exchange takes: a server that reads and writes and does nothing else. What of a server's time is the
//! kernel's, no server can save.
//!
//! It is no HTTP server: it takes the end of a head for a request, whatever the head says, and every request for the same.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd},
    thread,
};

use rustix::{
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, sockopt},
};

use crate::Error;

/// What stack says to the same request, in as many bytes.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\nserver: stack\r\n\
    date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nHello, world\n";

const BUFFER: usize = 4096;
const EVENTS: usize = 256;
/// The listener's; the others have the number of their socket.
const LISTENER: u64 = u64::MAX;

/// Serves 127.0.0.1 with so many threads, until it is killed.
///
/// # Errors
/// The port is taken, or the system refuses an event queue.
pub fn serve_floor(port: u16, threads: usize, backlog: usize) -> Result<(), Error> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    let listeners: io::Result<Vec<_>> = (0..threads.max(1)).map(|_| listen(port, backlog)).collect();
    let listeners = listeners.map_err(Error::system("the floor can not listen"))?;
    let threads: Vec<_> = listeners.into_iter().map(|listener| thread::spawn(move || run(&listener))).collect();
    let ended = threads.into_iter().try_for_each(|thread| thread.join().expect("a thread of it does not panic"));
    ended.map_err(Error::system("the floor can not serve"))
}

/// A listener of one thread: the kernel spreads the connections over those of a port.
fn listen(port: u16, backlog: i32) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket.into())
}

fn run(listener: &TcpListener) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections = HashMap::new();
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Err(Errno::INTR) => continue,
            waited => waited?,
        };
        for event in &events {
            let number = event.data.u64();
            if number != LISTENER {
                if connections.get_mut(&number).is_some_and(|stream| answer(stream).is_err()) {
                    connections.remove(&number);
                }
                continue;
            }
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let number = u64::try_from(stream.as_fd().as_raw_fd()).expect("it is open");
                epoll::add(&epoll, &stream, EventData::new_u64(number), EventFlags::IN)?;
                connections.insert(number, stream);
            }
        }
    }
}

/// One read, and one write for all heads that ended in it. An error is the end of the connection.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    let read = stream.read(&mut buffer)?;
    let heads = buffer[..read].windows(4).filter(|bytes| bytes == b"\r\n\r\n").count();
    match heads {
        0 => {}
        1 => stream.write_all(RESPONSE)?,
        _ => stream.write_all(&RESPONSE.repeat(heads))?,
    }
    let says = |word: &[u8]| buffer[..read].windows(word.len()).any(|bytes| bytes.eq_ignore_ascii_case(word));
    if read == 0 || (heads > 0 && says(b"\r\nconnection: close")) {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_has_its_answer_and_a_close_is_heard() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n").unwrap();
        answer(&mut stream).unwrap();
        let mut received = vec![0; 2 * RESPONSE.len()];
        client.read_exact(&mut received).unwrap();
        assert_eq!(received, RESPONSE.repeat(2));
        client.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        assert!(answer(&mut stream).is_err());
        drop(stream);
        assert_eq!(client.read_to_end(&mut received).unwrap(), RESPONSE.len());
    }
}
