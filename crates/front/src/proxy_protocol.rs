//! The PROXY protocol, versions 1 and 2: a proxy that forwards bytes says first whose they are.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, quoted here by its sections. Never is a byte read that
//! is not the header's: what follows may be a TLS handshake.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt};

/// §2.2. It can not begin a request, and no line of version 1.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// §2.1: the longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;

/// Bytes of the addresses in version 2: two addresses and two ports, or two paths.
const V4: usize = 12;
const V6: usize = 36;
const UNIX: usize = 216;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// The connection is that of a client, to this address.
    Client {
        /// The client.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
    /// The connection is that of a client whose address is not told, or is none of the Internet's.
    Unknown,
    /// The connection is the proxy's own, to see whether anybody is here.
    Local,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeaderError {
    #[error("no PROXY protocol header")]
    Missing,
    #[error("malformed PROXY protocol header")]
    Malformed,
    #[error("PROXY protocol header not read")]
    Io(#[from] io::Error),
}

/// Reads the header at the beginning of a connection, exactly.
pub(crate) async fn read<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Header, HeaderError> {
    // No header of either version is shorter.
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    if start == SIGNATURE {
        return read_binary(stream).await;
    }
    if start.starts_with(b"PROXY ") { read_line(stream, start).await } else { Err(HeaderError::Missing) }
}

/// Version 1. While no CR has come, at least two bytes are to come.
async fn read_line<R: AsyncRead + Unpin>(stream: &mut R, start: [u8; SIGNATURE.len()]) -> Result<Header, HeaderError> {
    let mut line = [0; LONGEST_LINE];
    line[..start.len()].copy_from_slice(&start);
    let mut length = start.len();
    while !line[..length].ends_with(b"\r\n") {
        let next = if line[length - 1] == b'\r' { 1 } else { 2 };
        let Some(place) = line.get_mut(length..length + next) else { return Err(HeaderError::Malformed) };
        stream.read_exact(place).await?;
        length += next;
    }
    parse_line(&line[..length - 2]).ok_or(HeaderError::Malformed)
}

fn parse_line(line: &[u8]) -> Option<Header> {
    let line = std::str::from_utf8(line).ok()?.strip_prefix("PROXY ")?;
    if line.contains(['\r', '\n']) {
        return None;
    }
    // §2.1: whatever follows UNKNOWN is to be passed over.
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(Header::Unknown);
    }
    let fields: Vec<_> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = fields[..] else { return None };
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    Some(Header::Client {
        source: SocketAddr::new(address(source)?.to_canonical(), port(source_port)?),
        destination: SocketAddr::new(address(destination)?.to_canonical(), port(destination_port)?),
    })
}

/// A decimal number without leading zeroes.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// Version 2, behind its signature.
async fn read_binary<R: AsyncRead + Unpin>(stream: &mut R) -> Result<Header, HeaderError> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    let [version_and_command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed),
    };
    let needed = match family {
        // Of LOCAL the family is passed over (§2.2).
        _ if is_local => 0,
        0x00 => 0,
        0x11 => V4,
        0x21 => V6,
        0x31 => UNIX,
        // Datagrams have no place here.
        _ => return Err(HeaderError::Malformed),
    };
    if length < needed {
        return Err(HeaderError::Malformed);
    }
    let mut addresses = [0; UNIX];
    stream.read_exact(&mut addresses[..needed]).await?;
    // TLVs and padding: the length alone says where they end.
    let rest = (length - needed) as u64;
    if tokio::io::copy(&mut stream.take(rest), &mut tokio::io::sink()).await? < rest {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(match family {
        _ if is_local => Header::Local,
        0x11 => pair::<4>(&addresses),
        0x21 => pair::<16>(&addresses),
        _ => Header::Unknown,
    })
}

/// Two addresses of `N` bytes, then their ports.
fn pair<const N: usize>(bytes: &[u8]) -> Header
where
    IpAddr: From<[u8; N]>,
{
    let address = |index: usize| {
        let mut octets = [0; N];
        octets.copy_from_slice(&bytes[index * N..(index + 1) * N]);
        let port = &bytes[2 * N + 2 * index..];
        SocketAddr::new(IpAddr::from(octets).to_canonical(), u16::from_be_bytes([port[0], port[1]]))
    };
    Header::Client { source: address(0), destination: address(1) }
}

#[cfg(test)]
mod tests;
