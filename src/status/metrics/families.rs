//! Samples and their labels: the tables of [`rows`](super::rows) applied to each object, and the few metrics that have
//! more than one sample per object.

use super::rows::{BACKENDS, FENCE, LISTENERS, PATHS, PEERS, POOLS, PROCESS, PROXY, RECONCILE, Row, STATE, VIPS};
use crate::status::{ConditionStatus, ProblemStatus, Status};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Every family that has a sample.
pub(super) fn all(status: &Status) -> Vec<MetricFamily> {
    let mut page = Page(Vec::new());
    agent(&mut page, status);
    vips(&mut page, status);
    page.table(PROXY, &[(Labels::new(), &status.proxy)]);
    listeners(&mut page, status);
    peers(&mut page, status);
    backends(&mut page, status);
    process(&mut page, status);
    page.0
}

type Labels = Vec<(&'static str, String)>;

/// Collects families.
struct Page(Vec<MetricFamily>);

impl Page {
    /// Each row of a table for each object.
    fn table<T>(&mut self, rows: &[Row<T>], objects: &[(Labels, &T)]) {
        for row in rows {
            let samples = objects.iter().filter_map(|(labels, object)| Some((labels.clone(), (row.value)(object)?)));
            self.family(row.name, row.help, row.kind, samples);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        self.family(name, help, MetricType::GAUGE, samples);
    }

    fn counter(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, u64)>) {
        let samples = samples.into_iter().map(|(labels, count)| (labels, count as f64));
        self.family(name, help, MetricType::COUNTER, samples);
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType, samples: impl IntoIterator<Item = (Labels, f64)>) {
        let metrics: Vec<Metric> = samples.into_iter().map(|(labels, value)| metric(kind, labels, value)).collect();
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn metric(kind: MetricType, labels: Labels, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels.into_iter().map(pair).collect());
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn pair((name, value): (&'static str, String)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

fn label(name: &'static str, value: &impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

fn with(labels: &Labels, name: &'static str, value: &impl ToString) -> Labels {
    labels.iter().cloned().chain([(name, value.to_string())]).collect()
}

fn agent(page: &mut Page, status: &Status) {
    let itself = [(Labels::new(), status)];
    page.gauge("lbagent_build_info", "The release of lbagent; always 1.", [(label("version", &status.version), 1.0)]);
    let conditions = status.conditions.iter().map(|condition| {
        let holds = condition.status == ConditionStatus::True;
        (label("type", &condition.r#type), f64::from(u8::from(holds)))
    });
    page.gauge("lbagent_condition", "1 if the condition is True, 0 if it is False or Unknown.", conditions);
    let standby = f64::from(u8::from(status.standby.is_some()));
    page.gauge(
        "lbagent_standby",
        "1 while an operator has taken this node out of service.",
        [(Labels::new(), standby)],
    );
    page.table(FENCE, &[(Labels::new(), &status.fence)]);
    page.table(STATE, &itself);
    page.gauge("lbagent_state_problems", "Problems of the state files.", by_severity(&status.state.problems));
    page.gauge("lbagent_problems", "Problems apart from the state files.", by_severity(&status.problems));
    let passes = status.reconcile.passes.iter().map(|(reason, count)| (label("reason", reason), *count));
    page.counter("lbagent_reconcile_passes_total", "Passes of the reconcile loop by what woke it.", passes);
    let repairs = status.reconcile.repairs.iter().map(|(what, count)| (label("what", what), *count));
    page.counter("lbagent_drift_repairs_total", "What somebody else had removed and was put back.", repairs);
    page.table(RECONCILE, &itself);
}

fn by_severity(problems: &[ProblemStatus]) -> [(Labels, f64); 2] {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    [("error", errors), ("warning", warnings)].map(|(severity, count)| (label("severity", &severity), count as f64))
}

fn vips(page: &mut Page, status: &Status) {
    let mine = status.vips.iter().filter(|vip| vip.role.is_some());
    let mine: Vec<_> = mine.map(|vip| (label("vip", &vip.name), vip)).collect();
    page.table(VIPS, &mine);
    let held = status.vips.iter().flat_map(|vip| {
        let sample = |address: &crate::status::VipAddressStatus| {
            let labels = with(&label("vip", &vip.name), "address", &address.address);
            (labels, f64::from(u8::from(address.held)))
        };
        vip.addresses.iter().map(sample).collect::<Vec<_>>()
    });
    page.gauge("lbagent_vip_held", "1 if the address is on a device of this machine.", held);
}

fn listeners(page: &mut Page, status: &Status) {
    let labels = |vip, listener| with(&label("vip", vip), "listener", listener);
    let all: Vec<_> = status
        .vips
        .iter()
        .flat_map(|vip| vip.listeners.iter().map(move |listener| (labels(&vip.name, &listener.address), listener)))
        .collect();
    page.table(LISTENERS, &all);
    let http = all.iter().filter(|(_, listener)| listener.protocol == "http");
    let responses = http.flat_map(|(labels, listener)| {
        listener.responses.iter().map(move |(class, count)| (with(labels, "code", class), *count))
    });
    page.counter("lbagent_listener_responses_total", "HTTP responses sent, by class.", responses);
}

fn peers(page: &mut Page, status: &Status) {
    let others = status.peers.iter().filter(|peer| !peer.me);
    let others: Vec<_> = others.map(|peer| (label("peer", &peer.name), peer)).collect();
    page.table(PEERS, &others);
    let known = status.peers.iter().filter(|peer| !peer.version.is_empty());
    let info = known.map(|peer| (with(&label("peer", &peer.name), "version", &peer.version), 1.0));
    page.gauge("lbagent_peer_info", "The release that the node runs; always 1.", info);
    let paths: Vec<_> = others
        .iter()
        .flat_map(|(labels, peer)| {
            let indexed = peer.paths.iter().enumerate();
            indexed.map(move |(index, path)| (with(labels, "path", &index), path))
        })
        .collect();
    page.table(PATHS, &paths);
    let rejected = paths.iter().flat_map(|(labels, path)| {
        path.rejected.iter().map(move |(reason, count)| (with(labels, "reason", reason), *count))
    });
    page.counter(
        "lbagent_peer_path_rejected_total",
        "Packets refused, by reason; icmp_error: own ones that did not arrive, as ICMP says.",
        rejected,
    );
}

fn backends(page: &mut Page, status: &Status) {
    let pools: Vec<_> = status.pools.iter().map(|pool| (label("pool", &pool.name), pool)).collect();
    page.table(POOLS, &pools);
    let all: Vec<_> = pools
        .iter()
        .flat_map(|(labels, pool)| {
            pool.backends.iter().map(move |backend| (with(labels, "backend", &backend.name), backend))
        })
        .collect();
    page.table(BACKENDS, &all);
    let responses = all.iter().flat_map(|(labels, backend)| {
        backend.responses.iter().map(move |(class, count)| (with(labels, "code", class), *count))
    });
    page.counter("lbagent_backend_responses_total", "HTTP responses received, by class.", responses);
}

fn process(page: &mut Page, status: &Status) {
    page.table(PROCESS, &[(Labels::new(), &status.process)]);
    let started = [(Labels::new(), status.started_at.unix_seconds())];
    page.gauge("process_start_time_seconds", "When the agent started.", started);
}
