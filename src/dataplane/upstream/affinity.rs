//! What draws a client to one backend of a pool: what the algorithm goes by, and what stickiness remembers. All of it is
//! in the request or in the configuration, so both balancers, and one after a restart, say the same.

use super::{Upstream, View};
use crate::{
    dataplane::reactor::now,
    model::{Balance, Sticky, StickyCookie},
};
use std::{net::IpAddr, rc::Rc};

/// Who asks for a backend.
#[derive(Debug, Clone, Copy)]
pub(in crate::dataplane) struct Caller {
    pub(in crate::dataplane) address: IpAddr,
    /// Of the request, where the algorithm goes by one.
    pub(in crate::dataplane) key: Option<u64>,
}

impl From<IpAddr> for Caller {
    fn from(address: IpAddr) -> Self {
        Self { address, key: None }
    }
}

impl View {
    pub(in crate::dataplane) fn balance(&self) -> &Balance {
        &self.version.config.pool.balance
    }

    pub(in crate::dataplane) fn sticky(&self) -> Option<&Sticky> {
        self.version.config.pool.sticky.as_ref()
    }

    /// What follows the value of the cookie that keeps clients, if one is inserted.
    pub(in crate::dataplane) fn cookie_attributes(&self) -> &str {
        &self.cookie_attributes
    }

    /// The backend of this name, if it is in rotation, whatever its weight.
    pub(in crate::dataplane) fn named(&self, name: &[u8]) -> Option<Rc<Upstream>> {
        let place = self.upstreams.iter().position(|u| u.name.as_bytes() == name && u.up.get())?;
        (!self.is_out(place)).then(|| self.upstreams[place].clone())
    }

    /// The backend where the client is kept by its address, if the pool does that.
    pub(in crate::dataplane) fn home(&self, client: IpAddr) -> Option<Rc<Upstream>> {
        if self.sticky() != Some(&Sticky::Source) {
            return None;
        }
        let mut out = Vec::new();
        loop {
            let place = self.picker.borrow().home(client, &out)?;
            if !self.is_out(place) {
                return Some(self.upstreams[place].clone());
            }
            out.push(place);
        }
    }

    fn is_out(&self, place: usize) -> bool {
        self.serving().ejection.is_some() && self.version.is_ejected(place, now())
    }
}

/// Path, lifetime and whatever else stands behind the value of a cookie.
pub(super) fn attributes(sticky: Option<&Sticky>) -> String {
    let Some(Sticky::Cookie(StickyCookie { same_site, secure, domain, max_age, .. })) = sticky else {
        return String::new();
    };
    let mut text = String::from("; Path=/");
    if let Some(domain) = domain {
        text += &format!("; Domain={domain}");
    }
    if let Some(max_age) = max_age {
        text += &format!("; Max-Age={}", max_age.as_secs());
    }
    if *secure {
        text += "; Secure";
    }
    text += &format!("; HttpOnly; SameSite={}", same_site.as_str());
    text
}
