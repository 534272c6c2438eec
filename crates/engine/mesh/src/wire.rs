//! Frames on a control connection: a fixed header, then bytes.

use std::io::{self, Read, Write};

/// First bytes of every frame: what speaks something else is noticed at once.
const MARK: [u8; 2] = *b"wz";
const HEADER_BYTES: usize = 16;
/// A longer body is damage. Gradients of a model on CPU ranks are the largest.
const LARGEST_BODY_BYTES: u64 = 1 << 36;
/// Bodies are read in pieces of this size, so that a false length takes no memory.
const PIECE_BYTES: u64 = 1 << 24;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON of a `Hello`, to rank 0.
    Hello,
    /// JSON of a `Welcome`, from rank 0.
    Welcome,
    /// Part of an exchange.
    Data,
    /// Nothing to say, still there.
    Alive,
    /// JSON of a `Failure`.
    Failed,
    /// This rank has nothing more to say.
    Bye,
}

const KINDS: [Kind; 6] = [Kind::Hello, Kind::Welcome, Kind::Data, Kind::Alive, Kind::Failed, Kind::Bye];

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) channel: u8,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn plain(kind: Kind, from: usize, body: Vec<u8>) -> Frame {
        Frame { kind, channel: 0, from: from as u16, to: 0, body }
    }
    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut header = [0; HEADER_BYTES];
        header[..2].copy_from_slice(&MARK);
        header[2] = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or(0) as u8;
        header[3] = self.channel;
        header[4..6].copy_from_slice(&self.from.to_le_bytes());
        header[6..8].copy_from_slice(&self.to.to_le_bytes());
        header[8..].copy_from_slice(&(self.body.len() as u64).to_le_bytes());
        // One write for small frames: two would wait for one another on a network.
        if self.body.len() <= 4096 {
            return to.write_all(&[&header[..], &self.body].concat());
        }
        to.write_all(&header)?;
        to.write_all(&self.body)
    }
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        from.read_exact(&mut header)?;
        let damage = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let kind = KINDS.get(usize::from(header[2])).filter(|_| header[..2] == MARK);
        let kind = *kind.ok_or_else(|| damage("it does not speak wootz's protocol"))?;
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let mut length = [0; 8];
        length.copy_from_slice(&header[8..]);
        let length = u64::from_le_bytes(length);
        if length > LARGEST_BODY_BYTES {
            return Err(damage("a message is too long"));
        }
        let mut body = Vec::new();
        while (body.len() as u64) < length {
            let piece = (length - body.len() as u64).min(PIECE_BYTES);
            let begin = body.len();
            body.resize(begin + piece as usize, 0);
            from.read_exact(&mut body[begin..])?;
        }
        Ok(Frame { kind, channel: header[3], from: word(4), to: word(6), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_the_wire() {
        let long = Frame { kind: Kind::Data, channel: 2, from: 3, to: 1, body: vec![7; 5000] };
        for frame in [Frame::plain(Kind::Bye, 5, Vec::new()), long] {
            let mut bytes = Vec::new();
            frame.write(&mut bytes).expect("memory");
            assert_eq!(Frame::read(&mut bytes.as_slice()).expect("whole"), frame);
            assert!(Frame::read(&mut &bytes[..bytes.len() - 1]).is_err(), "cut short");
        }
        assert!(Frame::read(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).is_err());
    }
}
