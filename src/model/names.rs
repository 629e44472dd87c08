use super::{Backend, Desired};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// What the names of backends mean now, by host. One that is not listed has not been looked up yet.
pub type NameTable = BTreeMap<String, NameView>;

/// What is known of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameView {
    /// The address in use: the last that was found, whatever has come of looking it up since. `None`: never found.
    pub address: Option<IpAddr>,
    /// Why it could not be looked up the last time, in words.
    pub error: Option<String>,
}

impl Desired {
    /// The same with the addresses that its names have by `names`.
    pub fn resolve(self: &Arc<Self>, names: &NameTable) -> Arc<Self> {
        let is_named = |backend: &Backend| backend.host.is_some();
        let mut resolved = self.clone();
        for (name, pool) in self.pools.iter().filter(|(_, pool)| pool.backends.iter().any(is_named)) {
            let mut pool = pool.as_ref().clone();
            pool.backends.iter_mut().for_each(|backend| backend.resolve(names));
            Arc::make_mut(&mut resolved).pools.insert(name.clone(), Arc::new(pool));
        }
        resolved
    }
}

impl Backend {
    fn resolve(&mut self, names: &NameTable) {
        let found = self.host.as_ref().and_then(|host| names.get(host)?.address);
        if let Some(address) = found {
            self.address.set_ip(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, Pool};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn pool(text: &str, backends: Vec<Backend>) -> Arc<Pool> {
        Arc::new(Pool {
            name: name(text),
            balance: Default::default(),
            sticky: None,
            check: Default::default(),
            backends,
            timeouts: Default::default(),
            serving: Default::default(),
        })
    }

    #[test]
    fn names_get_their_addresses_and_the_rest_is_untouched() {
        let fixed = Backend::new(name("a"), "192.0.2.1:80".parse().unwrap());
        let named = |text: &str, host: &str| Backend::named(name(text), host.to_owned(), 8080);
        let mut desired = Desired::default();
        let plain = pool("plain", vec![fixed.clone()]);
        desired.pools.insert(name("plain"), plain.clone());
        desired.pools.insert(name("web"), pool("web", vec![fixed, named("b", "b.example"), named("c", "c.example")]));
        let desired = Arc::new(desired);
        let found = NameView { address: Some("2001:db8::7".parse().unwrap()), error: Some("late".into()) };
        let never = NameView { address: None, error: Some("unknown".into()) };
        let resolved = desired.resolve(&NameTable::from([("b.example".into(), found), ("c.example".into(), never)]));
        let addresses: Vec<String> =
            resolved.pools[&name("web")].backends.iter().map(|backend| backend.address.to_string()).collect();
        assert_eq!(addresses, ["192.0.2.1:80", "[2001:db8::7]:8080", "0.0.0.0:8080"]);
        let known: Vec<bool> = resolved.pools[&name("web")].backends.iter().map(Backend::is_known).collect();
        assert_eq!(known, [true, true, false]);
        assert!(Arc::ptr_eq(&resolved.pools[&name("plain")], &plain));
        assert!(Arc::ptr_eq(&resolved.resolve(&NameTable::new()), &resolved) || resolved.pools.len() == 2);
    }

    #[test]
    fn without_a_name_nothing_is_copied() {
        let desired = Arc::new(Desired::default());
        assert!(Arc::ptr_eq(&desired.resolve(&NameTable::new()), &desired));
    }
}
