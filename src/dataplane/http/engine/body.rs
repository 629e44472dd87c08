//! Bodies: where they end, the chunked coding both ways (RFC 9112 sections 6 and 7).
//!
//! Chunks are decoded and framed anew; chunk extensions and trailers end here, as RFC 9112 section 7.1.1 and RFC 9110
//! section 6.5.1 allow an intermediary.

use std::io::Write;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// By `Content-Length`.
    Length(u64),
    /// By its last chunk.
    Chunked,
    /// By the end of the connection; responses only.
    UntilClose,
}

impl Framing {
    /// There is no body, or an empty one of known length.
    pub fn is_bodiless(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }
}

/// A piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Content; never empty.
    Data(&'a [u8]),
    /// The body is complete. What follows belongs to something else.
    End,
    /// Nothing more can be said without more input.
    More,
}

/// Takes a body off its framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyReader {
    state: State,
    /// Bytes of chunk extensions and trailers so far, which cost work and carry nothing.
    overhead: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are to come.
    Length(u64),
    UntilClose,
    Chunked(Chunk),
    Done,
}

/// Where in the chunked coding the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    Size {
        value: u64,
        digits: u8,
    },
    /// In white space before an extension.
    BeforeExtension {
        value: u64,
    },
    Extension {
        value: u64,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// In the trailer section, in a line that is empty so far or not.
    Trailer {
        empty: bool,
    },
    TrailerLf {
        empty: bool,
    },
}

/// Sixteen hexadecimal digits fill 64 bits.
const MAX_SIZE_DIGITS: u8 = 16;
/// Of the extensions and trailers of one body, in bytes.
const MAX_OVERHEAD: usize = super::MAX_HEAD;

impl BodyReader {
    /// For a body framed like this.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunk::Size { value: 0, digits: 0 }),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, overhead: 0 }
    }

    /// The next part, and how many bytes of `input` it took. An error says what is wrong with the coding and is final.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Part<'a>), &'static str> {
        match &mut self.state {
            State::Done => Ok((0, Part::End)),
            _ if input.is_empty() => Ok((0, Part::More)),
            State::UntilClose => Ok((input.len(), Part::Data(input))),
            State::Length(left) => {
                let data = take(left, input);
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok((data.len(), Part::Data(data)))
            }
            State::Chunked(chunk) => {
                let chunk = *chunk;
                self.next_chunked(chunk, input)
            }
        }
    }

    /// How much of a body is to come whose length is known; of others nothing.
    pub fn left(&self) -> u64 {
        if let State::Length(left) = self.state { left } else { 0 }
    }

    /// So much has come and was not shown here: at most what is [left](Self::left).
    pub fn pass(&mut self, count: u64) {
        if let State::Length(left) = &mut self.state {
            *left = left.saturating_sub(count);
            if *left == 0 {
                self.state = State::Done;
            }
        }
    }

    /// Whether the end of the connection takes nothing from this body.
    pub fn may_end(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Whether nothing of the body is to come.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn next_chunked<'a>(&mut self, mut chunk: Chunk, input: &'a [u8]) -> Result<(usize, Part<'a>), &'static str> {
        for (taken, byte) in input.iter().enumerate() {
            if let Chunk::Data { mut left } = chunk {
                let data = take(&mut left, &input[taken..]);
                self.state = State::Chunked(if left == 0 { Chunk::DataCr } else { Chunk::Data { left } });
                return Ok((taken + data.len(), Part::Data(data)));
            }
            self.overhead += usize::from(chunk.is_overhead());
            if self.overhead > MAX_OVERHEAD {
                return Err("the chunk extensions or trailers are too long");
            }
            let Some(next) = chunk.step(*byte)? else {
                self.state = State::Done;
                return Ok((taken + 1, Part::End));
            };
            chunk = next;
        }
        self.state = State::Chunked(chunk);
        Ok((input.len(), Part::More))
    }
}

impl Chunk {
    /// Takes one byte that is not data. `None`: it was the last one of the body.
    fn step(self, byte: u8) -> Result<Option<Self>, &'static str> {
        let next = match (self, byte) {
            (Self::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MAX_SIZE_DIGITS => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                Self::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Self::Size { value, digits: 1.. } | Self::Extension { value }, b'\r') => Self::SizeLf { value },
            (Self::Size { value, digits: 1.. } | Self::BeforeExtension { value }, b' ' | b'\t') => {
                Self::BeforeExtension { value }
            }
            (Self::Size { value, digits: 1.. } | Self::BeforeExtension { value }, b';') => Self::Extension { value },
            (Self::Extension { .. }, byte) if is_text(byte) => self,
            (Self::SizeLf { value: 0 }, b'\n') => Self::Trailer { empty: true },
            (Self::SizeLf { value }, b'\n') => Self::Data { left: value },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { value: 0, digits: 0 },
            (Self::Trailer { empty }, b'\r') => Self::TrailerLf { empty },
            (Self::Trailer { .. }, byte) if is_text(byte) => Self::Trailer { empty: false },
            (Self::TrailerLf { empty: true }, b'\n') => return Ok(None),
            (Self::TrailerLf { empty: false }, b'\n') => Self::Trailer { empty: true },
            _ => return Err(self.complaint()),
        };
        Ok(Some(next))
    }

    fn is_overhead(self) -> bool {
        matches!(self, Self::BeforeExtension { .. } | Self::Extension { .. } | Self::Trailer { .. })
    }

    fn complaint(self) -> &'static str {
        match self {
            Self::Size { digits: MAX_SIZE_DIGITS, .. } => "a chunk size is too large",
            Self::Size { .. } | Self::SizeLf { .. } => "a chunk size is not a hexadecimal number and CR LF",
            Self::BeforeExtension { .. } | Self::Extension { .. } => "a chunk extension is malformed",
            Self::Data { .. } | Self::DataCr | Self::DataLf => "a chunk is longer than its size",
            Self::Trailer { .. } | Self::TrailerLf { .. } => "the trailer section is malformed",
        }
    }
}

/// Frames a body for the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyWriter {
    /// As it is: the head told the length, or there is no body, or its end is the end of the connection.
    Plain,
    /// In chunks.
    Chunked,
}

impl BodyWriter {
    /// Adds `data`, which is not empty.
    pub fn write(self, data: &[u8], out: &mut Vec<u8>) {
        if self == Self::Chunked {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{:x}\r\n", data.len());
        }
        out.extend_from_slice(data);
        if self == Self::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Adds what tells the other side that the body is complete.
    pub fn end(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// As much of `input` as `left` allows, and takes it off.
fn take<'a>(left: &mut u64, input: &'a [u8]) -> &'a [u8] {
    let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= count as u64;
    &input[..count]
}

/// What may stand in a line: no control characters but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
