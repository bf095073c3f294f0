//! The control socket, from the parent's side.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

use rustix::{net::sockopt::socket_peercred, process::geteuid};
use stack_listen::{BindError, Bound, ListenSocket, bind_private};

use crate::command::{Answer, Command};

/// Clients at a time.
const MOST_CLIENTS: usize = 32;

/// The longest command.
const LONGEST_COMMAND: usize = 4096;

/// The socket and those who ask there.
#[derive(Debug, Default)]
pub(crate) struct Control {
    listener: Option<Bound>,
    clients: Vec<Client>,
    next: u64,
}

/// Somebody who asks.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: u64,
    stream: UnixStream,
    input: Vec<u8>,
    /// What it waits for.
    pub(crate) command: Option<Command>,
}

impl Control {
    pub(crate) fn bind(path: &Path) -> Result<Self, BindError> {
        Ok(Self { listener: Some(bind_private(path)?), ..Self::default() })
    }

    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().filter(|_| self.clients.len() < MOST_CLIENTS).map(|bound| bound.socket.as_fd())
    }

    pub(crate) fn clients(&self) -> impl Iterator<Item = &Client> + Clone {
        self.clients.iter()
    }

    /// Lets in who is there, if it is the same user or root: the file's mode says the same, but a file can be given away.
    pub(crate) fn accept(&mut self) {
        let Some(Bound { socket: ListenSocket::Unix(listener), file: _ }) = &self.listener else { return };
        while self.clients.len() < MOST_CLIENTS
            && let Ok((stream, _)) = listener.accept()
        {
            let is_allowed = socket_peercred(&stream).is_ok_and(|peer| peer.uid == geteuid() || peer.uid.is_root());
            if is_allowed && stream.set_nonblocking(true).is_ok() {
                self.next += 1;
                self.clients.push(Client { number: self.next, stream, input: Vec::new(), command: None });
            } else {
                tracing::warn!(code = "STACK0709", "another user at the control socket was sent away");
            }
        }
    }

    /// Reads what a client has sent; gives its command when it is complete.
    pub(crate) fn read(&mut self, number: u64) -> Option<Command> {
        let client = self.clients.iter_mut().find(|client| client.number == number)?;
        match client.read() {
            Ok(None) => None,
            Ok(Some(command)) => {
                client.command = Some(command);
                Some(command)
            }
            Err(error) => {
                if error.kind() == ErrorKind::InvalidData {
                    client.write(&Answer::failed(&format!("not a command: {error}")));
                }
                self.forget(number);
                None
            }
        }
    }

    /// The number of the client that came last.
    pub(crate) fn newest(&self) -> u64 {
        self.next
    }

    /// Answers all clients that wait for what `of` picks.
    pub(crate) fn answer(&mut self, answer: &Answer, of: impl Fn(Command) -> bool) {
        self.answer_up_to(u64::MAX, answer, of);
    }

    /// The same, but only those that came before another one, or are it.
    pub(crate) fn answer_up_to(&mut self, newest: u64, answer: &Answer, of: impl Fn(Command) -> bool) {
        self.clients.retain_mut(|client| {
            let is_meant = client.number <= newest && client.command.is_some_and(&of);
            if is_meant {
                client.write(answer);
            }
            !is_meant
        });
    }

    pub(crate) fn is_waited_for(&self, of: impl Fn(Command) -> bool) -> bool {
        self.clients.iter().any(|client| client.command.is_some_and(&of))
    }

    fn forget(&mut self, number: u64) {
        self.clients.retain(|client| client.number != number);
    }
}

impl Client {
    /// The command, when all of it is there. An error is the end of the client.
    fn read(&mut self) -> io::Result<Option<Command>> {
        let mut block = [0; 512];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                // It has asked already.
                Ok(_) if self.command.is_some() => {}
                Ok(length) => self.input.extend(&block[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.input.len() > LONGEST_COMMAND {
                return Err(io::Error::new(ErrorKind::InvalidData, "too long"));
            }
        }
        if self.command.is_some() {
            return Ok(None);
        }
        let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&self.input[..end])?))
    }

    /// It fits into the socket's buffer, or the client gets none of it.
    fn write(&mut self, answer: &Answer) {
        let Ok(mut line) = serde_json::to_vec(answer) else { return };
        line.push(b'\n');
        let _ = self.stream.write_all(&line);
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        thread,
    };

    use super::*;
    use crate::command::ask;

    fn wait_for_client(control: &mut Control) -> (u64, Command) {
        loop {
            control.accept();
            let numbers: Vec<_> = control.clients().map(|client| client.number).collect();
            if let Some(asked) = numbers.into_iter().find_map(|number| Some((number, control.read(number)?))) {
                return asked;
            }
            thread::yield_now();
        }
    }

    #[test]
    fn a_command_is_answered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control");
        let mut control = Control::bind(&path).unwrap();
        thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&path, Command::Reload).unwrap());
            let (_, command) = wait_for_client(&mut control);
            assert_eq!(command, Command::Reload);
            control.answer(&Answer::failed("no"), |command| command == Command::Status);
            control.answer_up_to(control.newest() - 1, &Answer::failed("no"), |_| true);
            assert!(control.is_waited_for(|command| command == Command::Reload));
            let answer = Answer { generation: Some(7), ..Answer::done() };
            control.answer(&answer, |command| command == Command::Reload);
            assert_eq!(asking.join().unwrap(), answer);
        });
        assert_eq!(control.clients().count(), 0);
    }

    #[test]
    fn nonsense_is_answered_with_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control");
        let mut control = Control::bind(&path).unwrap();
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"{\"command\": \"dance\"}\n").unwrap();
        control.accept();
        let number = control.clients().next().unwrap().number;
        assert_eq!(control.read(number), None);
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.contains("not a command") && line.contains("dance"), "{line}");
        assert_eq!(control.clients().count(), 0);
    }
}
