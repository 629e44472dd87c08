use std::{fmt, io};

/// What the kernel refused: what was tried on what, why not, and what to do about it where that is known.
///
/// Reads like `cannot add 192.0.2.10/32 to eth0: Operation not permitted (os error 1): this needs CAP_NET_ADMIN: …`.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt}: {cause}{}", Advice(.advice))]
pub struct KernelError {
    attempt: String,
    cause: io::Error,
    advice: Option<&'static str>,
}

impl KernelError {
    /// `attempt` completes "cannot …" and names the object: `add 192.0.2.10/32 to eth0`.
    pub(crate) fn new(attempt: impl Into<String>, cause: io::Error) -> Self {
        let advice = match cause.raw_os_error() {
            Some(libc::EPERM) => Some(
                "this needs CAP_NET_ADMIN and CAP_NET_RAW: run as root, or give the service \
                 AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW",
            ),
            Some(libc::ENODEV | libc::ENXIO) => Some("the device is gone; it is tried again when it returns"),
            Some(libc::ENETDOWN) => Some("the device is down; set it up, for example with `ip link set DEVICE up`"),
            Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP) => Some("this kernel lacks the address family or protocol"),
            _ => None,
        };
        Self { attempt: attempt.into(), cause, advice }
    }

    /// The same, with what to do in this very case.
    pub(super) fn advise(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }

    /// As `errno(3)`; `None` where it was not the kernel that refused.
    pub fn errno(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }
}

struct Advice<'a>(&'a Option<&'static str>);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(errno: i32) -> KernelError {
        KernelError::new("add 192.0.2.10/32 to eth0", io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn says_what_was_tried_and_what_to_do() {
        let text = error(libc::EPERM).to_string();
        assert!(text.starts_with("cannot add 192.0.2.10/32 to eth0: Operation not permitted"), "{text}");
        assert!(text.contains("CAP_NET_ADMIN") && text.contains("run as root"), "{text}");
        assert_eq!(error(libc::EPERM).errno(), Some(libc::EPERM));
    }

    #[test]
    fn gives_no_advice_where_it_has_none_and_the_callers_where_it_has_one() {
        assert!(error(libc::EINVAL).to_string().ends_with("(os error 22)"));
        assert!(error(libc::EPERM).advise("wait").to_string().ends_with(": wait"));
    }
}
