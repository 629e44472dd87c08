//! What the kernel lets this process have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// Raises this process's limit of open descriptors from the soft one, which a shell or systemd commonly leaves at 1024
/// for the sake of programs that use `select(2)`, to the hard one (getrlimit(2)). Returns what it is now. Processes
/// started later inherit it.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard - 1, hard).unwrap();
        assert_eq!(raise_open_files().unwrap(), hard);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
        assert_eq!(raise_open_files().unwrap(), hard, "again is no harm");
    }
}
