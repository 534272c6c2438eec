//! How ranks find one another: rank 0 listens, the others call until it answers, and it begins the job when all have come.
//!
//! Each rank says who it is before anything else, so that a rank of another job, of another version, or started with
//! another number of ranks is named instead of waited for.

use crate::wire::{Frame, Kind};
use crate::{MeshError, Place};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};
use wootz_schema::mesh::{Hello, Refusal, VERSION, Welcome};

/// A caller that says nothing for so long is no rank.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to call rank 0, and two looks for callers.
const PAUSE: Duration = Duration::from_millis(20);

/// The connections of this rank: on rank 0 one to each other rank, by rank − 1; elsewhere the one to rank 0.
pub(crate) fn meet(place: &Place, patience: Duration) -> Result<Vec<TcpStream>, MeshError> {
    let streams = if place.rank == 0 { gather(place, patience)? } else { vec![call(place, patience)?] };
    for stream in &streams {
        // Small messages go at once. Where a system has no such option, they are only slower.
        let _ = stream.set_nodelay(true);
        // Nor may a rank that has stopped reading hold up one that has something to tell.
        let _ = stream.set_write_timeout(Some(crate::control::SILENCE));
    }
    Ok(streams)
}

fn own_hello(place: &Place) -> Hello {
    Hello {
        version: VERSION,
        wootz: env!("CARGO_PKG_VERSION").to_owned(),
        rank: place.rank,
        ranks: place.size,
    }
}

fn gather(place: &Place, patience: Duration) -> Result<Vec<TcpStream>, MeshError> {
    let address = format!("{}:{}", place.host, place.port);
    let listen = |error: io::Error| MeshError::Listen { address: address.clone(), reason: error.to_string() };
    let listener = TcpListener::bind((place.host.as_str(), place.port)).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let deadline = Instant::now() + patience;
    let mut found: Vec<Option<TcpStream>> = (1..place.size).map(|_| None).collect();
    while found.iter().any(Option::is_none) {
        if Instant::now() > deadline {
            let missing = found.iter().enumerate().filter(|(_, stream)| stream.is_none());
            let ranks = missing.map(|(i, _)| i + 1).collect();
            return Err(MeshError::Missing { ranks, address, seconds: patience.as_secs() });
        }
        match listener.accept() {
            Ok((stream, _)) => {
                let Ok((stream, hello)) = listen_to(stream) else { continue };
                if let Some(refusal) = judge(place, &hello, &found) {
                    let all = found.into_iter().flatten().chain([stream]);
                    all.for_each(|stream| drop(answer(&stream, Some(refusal.clone()))));
                    return Err(error_of(refusal));
                }
                found[hello.rank - 1] = Some(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(error) => return Err(listen(error)),
        }
    }
    let streams: Vec<TcpStream> = found.into_iter().flatten().collect();
    for (i, stream) in streams.iter().enumerate() {
        answer(stream, None).map_err(|error| gone(i + 1, &error))?;
    }
    Ok(streams)
}

fn gone(rank: usize, error: &io::Error) -> MeshError {
    let reason = format!("its connection broke: {error}");
    MeshError::Peer(wootz_schema::mesh::Failure { rank, reason, hint: None, exit: 1 })
}

/// Reads the first message of a caller.
fn listen_to(mut stream: TcpStream) -> io::Result<(TcpStream, Hello)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(HELLO_PATIENCE))?;
    let frame = Frame::read(&mut stream)?;
    let hello = serde_json::from_slice(&frame.body)?;
    stream.set_read_timeout(None)?;
    Ok((stream, hello))
}

/// What keeps a caller from being a rank of this job.
fn judge(place: &Place, hello: &Hello, found: &[Option<TcpStream>]) -> Option<Refusal> {
    let ours = own_hello(place);
    let refuse = |what: &str, theirs: String, ours: String| {
        Some(Refusal { rank: hello.rank, what: what.to_owned(), theirs, ours })
    };
    if (hello.version, &hello.wootz) != (ours.version, &ours.wootz) {
        return refuse("version of wootz", hello.wootz.clone(), ours.wootz);
    }
    if hello.ranks != ours.ranks {
        return refuse("number of ranks", hello.ranks.to_string(), ours.ranks.to_string());
    }
    if hello.rank == 0 || found.get(hello.rank - 1).is_none_or(Option::is_some) {
        return refuse("rank number", "one that is taken".to_owned(), "one of its own".to_owned());
    }
    None
}

fn answer(stream: &TcpStream, refused: Option<Refusal>) -> io::Result<()> {
    let body = serde_json::to_vec(&Welcome { refused })?;
    Frame::plain(Kind::Welcome, 0, body).write(&mut &*stream)
}

fn error_of(refusal: Refusal) -> MeshError {
    let Refusal { rank, what, theirs, ours } = refusal;
    MeshError::Mismatch { rank, what, theirs, ours }
}

fn call(place: &Place, patience: Duration) -> Result<TcpStream, MeshError> {
    let began = Instant::now();
    loop {
        let reason = match connect(place).and_then(|stream| introduce(place, stream, patience)) {
            Ok((stream, None)) => return Ok(stream),
            Ok((_, Some(refusal))) => return Err(error_of(refusal)),
            Err(error) => error.to_string(),
        };
        if began.elapsed() > patience {
            let address = format!("{}:{}", place.host, place.port);
            return Err(MeshError::Unreachable { address, seconds: patience.as_secs(), reason });
        }
        std::thread::sleep(PAUSE);
    }
}

fn connect(place: &Place) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = (place.host.as_str(), place.port).to_socket_addrs()?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, HELLO_PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Says who this is and waits for the answer, which comes when all ranks have called.
fn introduce(
    place: &Place,
    mut stream: TcpStream,
    patience: Duration,
) -> io::Result<(TcpStream, Option<Refusal>)> {
    let body = serde_json::to_vec(&own_hello(place))?;
    Frame::plain(Kind::Hello, place.rank, body).write(&mut stream)?;
    // Rank 0 gives up after its own patience; a little more here lets its answer arrive.
    stream.set_read_timeout(Some(patience + HELLO_PATIENCE))?;
    let welcome: Welcome = serde_json::from_slice(&Frame::read(&mut stream)?.body)?;
    stream.set_read_timeout(None)?;
    Ok((stream, welcome.refused))
}
