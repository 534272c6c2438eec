//! What a file holds, its names in git and in LFS, and its bytes on the way to a client.

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use wootz_stdx::digest::hex;

const PIECE_BYTES: u64 = 64 << 10;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// In git itself.
    Git(Arc<[u8]>),
    /// Apart from git.
    Lfs(Arc<[u8]>),
    /// So many bytes apart from git, made when they are asked for.
    Generated(u64),
}

impl Content {
    /// In git itself.
    pub fn git(bytes: impl AsRef<[u8]>) -> Content {
        Content::Git(bytes.as_ref().into())
    }

    /// Apart from git.
    pub fn lfs(bytes: impl AsRef<[u8]>) -> Content {
        Content::Lfs(bytes.as_ref().into())
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        match self {
            Content::Git(bytes) | Content::Lfs(bytes) => bytes.len() as u64,
            Content::Generated(length) => *length,
        }
    }

    /// Whether git holds no more than a pointer to it.
    pub fn is_apart(&self) -> bool {
        !matches!(self, Content::Git(_))
    }

    /// SHA-256 of the bytes.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        let mut at = 0;
        while at < self.length() {
            let piece = self.piece(at);
            hasher.update(&piece);
            at += piece.len() as u64;
        }
        hex(&hasher.finalize())
    }

    /// The name of the blob in git: of the bytes, or of the pointer to them.
    pub fn git_name(&self) -> String {
        match self {
            Content::Git(bytes) => git_name(bytes),
            _ => git_name(self.pointer().as_bytes()),
        }
    }

    /// What git holds of a file that is apart.
    pub fn pointer(&self) -> String {
        let (sha256, length) = (self.sha256(), self.length());
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {length}\n")
    }

    /// Its entity tag.
    pub fn tag(&self) -> String {
        if self.is_apart() { self.sha256() } else { self.git_name() }
    }

    /// Some bytes from an offset on; none at the end.
    fn piece(&self, at: u64) -> Vec<u8> {
        let end = self.length().min(at + PIECE_BYTES);
        match self {
            Content::Git(bytes) | Content::Lfs(bytes) => bytes[at as usize..end as usize].to_vec(),
            Content::Generated(_) => (at..end).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect(),
        }
    }
}

fn git_name(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

/// How an answer's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the last byte.
    Whole,
    /// The connection is cut after this many bytes.
    Cut(u64),
    /// Nothing comes after this many bytes, and the connection stays.
    Silent(u64),
}

/// A content on its way.
pub struct Sent {
    /// What is sent.
    pub content: Content,
    /// Offset of the next byte.
    pub at: u64,
    /// Bytes sent.
    pub sent: u64,
    /// How it ends.
    pub end: End,
    /// What was sent before a cut was given time to leave.
    pub is_flushed: bool,
    /// Each byte is another than it should be.
    pub is_wrong: bool,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut piece = self.content.piece(self.at);
        match self.end {
            End::Cut(limit) if self.sent >= limit => {
                if !std::mem::replace(&mut self.is_flushed, true) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return Poll::Ready(Some(Err(io::Error::other("cut"))));
            }
            // Nobody wakes it again.
            End::Silent(limit) if self.sent >= limit => return Poll::Pending,
            End::Cut(limit) | End::Silent(limit) => {
                piece.truncate(usize::try_from(limit - self.sent).unwrap_or(usize::MAX));
            }
            End::Whole => {}
        }
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        self.at += piece.len() as u64;
        self.sent += piece.len() as u64;
        if self.is_wrong {
            piece.iter_mut().for_each(|byte| *byte ^= 0x55);
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.length() - self.at)
    }
}
