//! Prometheus text (version 0.0.4) from a [`Status`].
//!
//! Names begin with `lbagent_` (those of the process are the customary `process_…`), units are seconds and bytes,
//! counters end in `_total`. Label values are names and addresses that the state holds, and fixed words: as many
//! series as there are objects, never as there are clients, requests or errors. A family without a sample is left out.

mod families;
mod rows;

use super::Status;
use prometheus::TextEncoder;

/// The content type that goes with [`encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The whole page.
pub fn encode(status: &Status) -> String {
    let families = families::all(status);
    // The encoder fails only on families without name or samples, and none is made.
    TextEncoder::new().encode_to_string(&families).unwrap_or_else(|error| format!("# {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Standby,
        status::{build::tests::golden, fixture::World},
    };
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_world_in_good_order_gives_the_golden_page() {
        golden("metrics.prom", &encode(&World::new().status()));
    }

    /// Each sample line as (name, labels).
    fn samples(text: &str) -> Vec<(String, String, f64)> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                (name.to_owned(), labels.to_owned(), value.parse().unwrap())
            })
            .collect()
    }

    fn value(text: &str, series: &str) -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
    }

    #[test]
    fn the_page_keeps_to_prometheus_practice() {
        let text = encode(&World::new().bad_file().down(&["webA"]).status());
        let types: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let helps: BTreeSet<&str> =
            text.lines().filter_map(|line| Some(line.strip_prefix("# HELP ")?.split_once(' ')?.0)).collect();
        let mut seen = BTreeSet::new();
        for (name, labels, value) in samples(&text) {
            assert!(name.starts_with("lbagent_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), types[name.as_str()] == "counter", "{name}");
            assert!(helps.contains(name.as_str()), "{name} has no help");
            assert!(value.is_finite());
            assert!(seen.insert((name.clone(), labels.clone())), "{name}{{{labels} twice");
        }
    }

    #[test]
    fn what_is_wrong_shows() {
        let mut world = World::new().bad_file().down(&["webA"]);
        world.peer().heard = false;
        world.release();
        let text = encode(&world.status());
        assert_eq!(value(&text, r#"lbagent_state_problems{severity="error"}"#), 1.0);
        assert_eq!(value(&text, r#"lbagent_backend_up{pool="web",backend="webA"}"#), 0.0);
        assert_eq!(value(&text, r#"lbagent_peer_heard{peer="lb2"}"#), 0.0);
        assert_eq!(value(&text, r#"lbagent_vip_held{vip="web",address="198.51.100.10"}"#), 0.0);
        assert_eq!(value(&text, r#"lbagent_vip_active{vip="web"}"#), 1.0);
        assert_eq!(value(&text, r#"lbagent_condition{type="PeersHeard"}"#), 0.0);
    }

    #[test]
    fn the_fence_standby_and_repairs_show() {
        let mut world = World::new();
        let text = encode(&world.status());
        assert_eq!(value(&text, "lbagent_fenced"), 1.0);
        assert_eq!(value(&text, r#"lbagent_vip_fenced{vip="web"}"#), 1.0);
        assert_eq!(value(&text, "lbagent_standby"), 0.0);
        assert_eq!(value(&text, "lbagent_lease_renewals_total"), 24_000.0);
        assert_eq!(value(&text, "lbagent_lease_renewal_lateness_seconds_max"), 0.0116);
        assert_eq!(value(&text, r#"lbagent_peer_path_loss_ratio{peer="lb2",path="0"}"#), 0.01);
        assert_eq!(value(&text, r#"lbagent_peer_fenced{peer="lb2"}"#), 1.0);
        world.lease.fenced = Err("no nf_tables".into());
        world.standby = Some(Standby { since: world.clock.instant, reason: String::new(), forced: false });
        world.reconcile.repairs.insert("address", 7);
        let text = encode(&world.status());
        assert_eq!(value(&text, "lbagent_fenced"), 0.0);
        assert_eq!(value(&text, r#"lbagent_vip_fenced{vip="web"}"#), 0.0);
        assert_eq!(value(&text, "lbagent_standby"), 1.0);
        assert_eq!(value(&text, r#"lbagent_drift_repairs_total{what="address"}"#), 7.0);
        assert!(!encode(&World::new().backup().status()).contains("lbagent_vip_fenced"), "it has no address here");
    }

    #[test]
    fn hostile_label_values_stay_within_their_quotes() {
        let mut status = World::new().status();
        status.vips[0].name = "a\"} 1\nevil_metric 2\\".to_owned();
        status.version = "\"\n".to_owned();
        let text = encode(&status);
        assert!(text.contains(r#"lbagent_vip_active{vip="a\"} 1\nevil_metric 2\\"} 1"#), "{text}");
        assert!(text.contains(r#"lbagent_build_info{version="\"\n"} 1"#), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("evil_metric")));
    }

    #[test]
    fn an_empty_status_gives_a_page_without_objects() {
        let text = encode(&Status::default());
        assert!(text.contains("lbagent_build_info"));
        assert!(!text.contains("lbagent_vip_active"), "{text}");
    }
}
