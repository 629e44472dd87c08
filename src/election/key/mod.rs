//! The key file: who may take part in the election.
//!
//! ```text
//! # ID HEX, one key a line. The first signs, all verify.
//! 2026-11 8d1c…
//! 2026-05 07aa…
//! ```
//!
//! Keys are rotated without a gap: add the new key as the *second* line everywhere, then make it the first
//! everywhere, then drop the old one. A secret never leaves this module: neither `Debug` nor an error shows one.

#[cfg(test)]
mod tests;

use crate::election::wire::{KEY_TAG_LEN, MAC_LEN};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::{
    fmt, fs, io,
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Bytes of a secret: at least 128 bits, at most one block of SHA-256 (longer ones would only be hashed down).
const SECRET_LEN: std::ops::RangeInclusive<usize> = 16..=64;

/// A key file is a few lines; more is a mistake, and is not read.
const MAX_FILE: u64 = 64 * 1024;

/// The keys in force. The first signs, all verify.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    tag: [u8; KEY_TAG_LEN],
    mac: Hmac<Sha256>,
}

/// Why a key file is not used. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be opened or read.
    #[error("cannot read the key file {path}: {error}; make one with: install -m 600 /dev/null {path} && echo \"key1 $(openssl rand -hex 32)\" > {path}", path = path.display())]
    Io {
        /// As configured.
        path: PathBuf,
        /// Of the kernel.
        error: io::Error,
    },
    /// A directory, FIFO, device or the like.
    #[error("the key file {} is no regular file", .0.display())]
    NotAFile(PathBuf),
    /// Others than root and the agent can read or write it.
    #[error("the key file {path} has mode {mode:04o}, so others may read it: chmod 600 {path}", path = path.display())]
    Mode {
        /// As configured.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else, who could change it.
    #[error("the key file {path} belongs to user {uid}, neither root nor the agent's own: chown root {path}", path = path.display())]
    Owner {
        /// As configured.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Larger than any list of keys.
    #[error("the key file {} is larger than 64 KiB: it should hold a few lines \"ID HEX\"", .0.display())]
    TooLarge(PathBuf),
    /// Not text.
    #[error("the key file {} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// A line that is no key.
    #[error("{path}:{line}: {what}", path = path.display())]
    Line {
        /// As configured.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No key at all.
    #[error("the key file {} holds no key: it should hold at least one line \"ID HEX\"", .0.display())]
    Empty(PathBuf),
}

/// What a file looked like when it was read: if any of it changes, it is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFileStamp {
    device: u64,
    inode: u64,
    size: u64,
    mode: u32,
    owner: (u32, u32),
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl KeyFileStamp {
    /// Of the file at `path` now; `None` if there is none.
    pub fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| Self::from_metadata(&metadata))
    }

    fn from_metadata(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: metadata.modified().ok(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Keyring {
    /// Reads `path`, which must be a regular file of root or the agent's user with mode 0600 (or 0640 with root's or
    /// the agent's group).
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |error| KeyError::Io { path: path.to_owned(), error };
        // O_NONBLOCK: the open of a FIFO would wait for a writer.
        let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(io)?;
        admit(path, &file.metadata().map_err(io)?)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(KeyError::TooLarge(path.to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|_| KeyError::NotText(path.to_owned()))?;
        Self::parse(path, &text)
    }

    /// Reads the lines of a key file; `path` is only for errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, KeyError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |what| KeyError::Line { path: path.to_owned(), line: index + 1, what };
            let key = Key::parse(line).map_err(wrong)?;
            if keys.iter().any(|other| other.tag == key.tag) {
                return Err(wrong("this key id is already used above"));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyError::Empty(path.to_owned())) } else { Ok(Self { keys }) }
    }

    /// The ids, the signing one first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }

    /// How the wire names the key that signs.
    pub(crate) fn signing_tag(&self) -> [u8; KEY_TAG_LEN] {
        self.keys[0].tag
    }

    /// The code of the signing key over `parts`, one after the other.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; MAC_LEN] {
        self.keys[0].feed(parts).finalize().into_bytes().into()
    }

    /// Whether `code` is that of the key `tag` over `parts`; compared in constant time.
    pub(crate) fn verify(&self, tag: &[u8], parts: &[&[u8]], code: &[u8]) -> bool {
        self.keys.iter().filter(|key| key.tag == tag).any(|key| key.feed(parts).verify_slice(code).is_ok())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.ids().collect::<Vec<_>>()).finish()
    }
}

impl Key {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_whitespace();
        let (Some(id), Some(hex), None) = (words.next(), words.next(), words.next()) else {
            return Err("a key is two words, \"ID HEX\"");
        };
        let secret = from_hex(hex).ok_or("the key is not an even number of hexadecimal digits")?;
        if !SECRET_LEN.contains(&secret.len()) {
            return Err("a key has 32 to 128 hexadecimal digits (16 to 64 bytes)");
        }
        let mac = Hmac::new_from_slice(&secret).map_err(|_| "the key has a length that HMAC refuses")?;
        let mut tag = [0; KEY_TAG_LEN];
        tag.copy_from_slice(&Sha256::digest(id.as_bytes())[..KEY_TAG_LEN]);
        Ok(Self { id: id.to_owned(), tag, mac })
    }

    fn feed(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        parts.iter().fold(self.mac.clone(), |mut mac, part| {
            mac.update(part);
            mac
        })
    }
}

fn admit(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyError> {
    let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    if !metadata.is_file() {
        return Err(KeyError::NotAFile(path.to_owned()));
    }
    if metadata.uid() != 0 && metadata.uid() != user {
        return Err(KeyError::Owner { path: path.to_owned(), uid: metadata.uid() });
    }
    let mode = metadata.mode() & 0o7777;
    let group_reads = mode & 0o040 != 0 && (metadata.gid() == group || metadata.gid() == 0);
    let allowed = if group_reads { 0o640 } else { 0o600 };
    if mode & !allowed != 0 { Err(KeyError::Mode { path: path.to_owned(), mode }) } else { Ok(()) }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
