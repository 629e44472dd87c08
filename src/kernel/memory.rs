//! Memory that this process has freed and the kernel has not got back.

#![allow(unsafe_code, reason = "the C library's allocator has no safe interface")]

/// Gives freed memory back to the kernel, from wherever in the heap it lies. The C library does that by itself only at the
/// end of each heap. Takes milliseconds if there is much; nothing is done where the C library is not glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time and from any thread; it moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
