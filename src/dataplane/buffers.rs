//! Buffers that come back. Every request needs two for a moment – one for its head, one for the response – and gives them
//! back as soon as the other side has taken what was in them, so a worker goes round with a few and seldom asks the
//! allocator. A connection that waits owns none.

use std::{cell::RefCell, ops::Deref};

/// Of a buffer that is lent, in bytes: a usual head with a small body.
const USUAL: usize = 2048;
/// What has grown above this goes to the allocator.
const LARGEST: usize = 2 * USUAL;
/// So many are kept by one worker.
const SPARE: usize = 16;

thread_local! {
    static SPARES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of its own, that can be added to. An empty one owns no memory until something is to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty one with room.
    pub(super) fn lent() -> Self {
        let spare = SPARES.with_borrow_mut(Vec::pop);
        Self(spare.unwrap_or_else(|| Vec::with_capacity(USUAL)))
    }

    /// To write to.
    #[inline]
    pub(super) fn writable(&mut self) -> &mut Vec<u8> {
        if self.0.capacity() == 0 {
            *self = Self::lent();
        }
        &mut self.0
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    // Most are empty, and seen to be where they end.
    #[inline]
    fn drop(&mut self) {
        if (USUAL..=LARGEST).contains(&self.0.capacity()) {
            self.give_back();
        }
    }
}

impl Buffer {
    fn give_back(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        bytes.clear();
        // It fails only while the thread ends, and then the memory goes as well.
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARE {
                spares.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spares() -> usize {
        SPARES.with_borrow(Vec::len)
    }

    #[test]
    fn a_buffer_comes_back_empty_and_is_lent_again() {
        let mut buffer = Buffer::lent();
        buffer.writable().extend_from_slice(b"somebody's");
        let place = buffer.as_ptr();
        drop(buffer);
        assert_eq!(spares(), 1);
        let again = Buffer::lent();
        assert_eq!((again.as_ptr(), again.len(), spares()), (place, 0, 0));
    }

    #[test]
    fn an_empty_buffer_owns_nothing_until_it_is_written_to() {
        let mut buffer = Buffer::default();
        drop(Buffer::default());
        assert_eq!((buffer.0.capacity(), spares()), (0, 0));
        buffer.writable().push(b'x');
        assert_eq!(*buffer, *b"x");
    }

    #[test]
    fn neither_many_nor_large_ones_are_kept() {
        let buffers: Vec<_> = (0..2 * SPARE).map(|_| Buffer::lent()).collect();
        drop(buffers);
        assert_eq!(spares(), SPARE);
        SPARES.take();
        let mut buffer = Buffer::lent();
        buffer.writable().resize(LARGEST + 1, 0);
        drop(buffer);
        drop(Buffer::from(vec![0; 10]));
        assert_eq!(spares(), 0);
    }
}
