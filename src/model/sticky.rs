use std::time::Duration;

/// `spec.sticky`: how a client is kept at the backend that it was given first, for as long as that is in rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// A cookie that the proxy inserts names the backend. HTTP only.
    Cookie(StickyCookie),
    /// A cookie of the application carries the backend's name before its own value. HTTP only.
    AppCookie {
        /// An RFC 6265 token.
        name: String,
    },
    /// A consistent hash of the client's address.
    Source,
}

/// A cookie that the proxy inserts. It is always `HttpOnly`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyCookie {
    /// An RFC 6265 token.
    pub name: String,
    /// Whether it goes along with requests that other sites cause. Default: lax.
    pub same_site: SameSite,
    /// It is sent over TLS only. Default: no.
    pub secure: bool,
    /// Hosts that get it: this one and those below. Default: the host that was asked, alone.
    pub domain: Option<String>,
    /// For how long the client keeps it, in whole seconds. Default: until the browser is closed.
    pub max_age: Option<Duration>,
}

impl StickyCookie {
    /// With everything else as it is by default.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), same_site: SameSite::default(), secure: false, domain: None, max_age: None }
    }
}

/// The `SameSite` attribute of a cookie (RFC 6265bis section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// Not even when a link of another site is followed.
    Strict,
    /// Only when a link of another site is followed.
    #[default]
    Lax,
    /// Always; clients take such a cookie only if it is `Secure`.
    None,
}

impl SameSite {
    /// As it is written in the cookie.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}
