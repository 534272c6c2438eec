//! A file on the loopback, with what goes wrong on the way to it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after this many bytes of the body.
    Cut(usize),
    /// The connection stays, and nothing comes after this many bytes of the body.
    Silent(usize),
    /// This status and nothing else; 429 asks to come back at once.
    Status(u16),
    /// The range is not looked at, and the connection ends after this many bytes.
    WholeThenCut(usize),
    /// The file has another tag from now on.
    Changed,
}

#[derive(Debug, Default)]
pub struct World {
    pub bytes: Vec<u8>,
    pub tag: u32,
    pub faults: VecDeque<Fault>,
    /// Connections that stay.
    pub held: Vec<TcpStream>,
    /// The `Range` of each request.
    pub log: Vec<Option<String>>,
}

pub struct Server {
    pub url: String,
    pub world: Arc<Mutex<World>>,
}

impl Server {
    /// Serves until the test's process ends.
    pub fn start(bytes: &[u8], faults: &[Fault]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let faults = faults.iter().copied().collect();
        let world = Arc::new(Mutex::new(World { bytes: bytes.to_vec(), faults, ..World::default() }));
        let shared = Arc::clone(&world);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that went away is what some tests are about.
                let _ = answer(&mut stream.unwrap(), &shared);
            }
        });
        Server { url, world }
    }
}

fn answer(stream: &mut TcpStream, world: &Mutex<World>) -> std::io::Result<()> {
    let mut headers = Vec::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        headers.push(line);
    }
    let header = |name: &str| {
        let found = headers.iter().filter_map(|line| line.split_once(": "));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let mut world = world.lock().unwrap();
    let range = header("Range");
    world.log.push(range.clone());
    let fault = world.faults.pop_front();
    if let Some(Fault::Status(status)) = fault {
        let wait = if status == 429 { "Retry-After: 0\r\n" } else { "" };
        return write!(
            stream,
            "HTTP/1.1 {status} no\r\n{wait}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    if fault == Some(Fault::Changed) {
        world.tag += 1;
    }
    let tag = format!("\"{}\"", world.tag);
    let total = world.bytes.len();
    let is_whole = matches!(fault, Some(Fault::WholeThenCut(_))) || header("If-Range") != Some(tag.clone());
    let from = range.filter(|_| !is_whole);
    let from: Option<usize> = from.map(|text| text[6..text.len() - 1].parse().unwrap());
    let head = match from {
        Some(from) if from >= total => {
            let range = format!("Content-Range: bytes */{total}");
            return write!(
                stream,
                "HTTP/1.1 416 no\r\n{range}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Some(from) => format!("206 Part\r\nContent-Range: bytes {from}-{}/{total}", total - 1),
        None => "200 OK".to_owned(),
    };
    let body = &world.bytes[from.unwrap_or(0)..];
    let length = body.len();
    let sent = match fault {
        Some(Fault::Cut(at) | Fault::WholeThenCut(at) | Fault::Silent(at)) => &body[..at.min(length)],
        _ => body,
    };
    write!(
        stream,
        "HTTP/1.1 {head}\r\nETag: {tag}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(sent)?;
    if let Some(Fault::Silent(_)) = fault {
        world.held.push(stream.try_clone()?);
    }
    Ok(())
}
