//! The files that are shipped beside the binary keep up with it: the dashboard asks for metrics that exist, the unit
//! says what systemd understands and the agent accepts.

use super::{fixture::World, metrics};
use crate::cli;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const DASHBOARD: &str = include_str!("../../dashboards/lbagent.json");
const UNIT: &str = include_str!("../../systemd/lbagent.service");

/// Names of metrics, and the labels of each.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in metrics::encode(&World::new().status()).lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        metrics.entry(name.to_owned()).or_default().extend(labels);
    }
    metrics
}

/// Words in `text` that begin as the names of our metrics do.
fn metric_names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("lbagent_") || word.starts_with("process_"))
}

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[test]
fn every_panel_says_what_it_shows_and_asks_for_metrics_that_exist() {
    let (dashboard, exported) = (dashboard(), exported());
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 10);
    let mut titles = BTreeSet::new();
    for panel in panels {
        let title = text(panel, "title");
        assert!(titles.insert(title), "{title} twice");
        assert!(text(panel, "description").ends_with('.'), "{title} has no description");
        assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{title} has no unit");
        assert_eq!(text(&panel["datasource"], "uid"), "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = text(target, "expr");
            let names: Vec<&str> = metric_names(expression).collect();
            assert!(!names.is_empty(), "{title}: {expression}");
            names.iter().for_each(|name| assert!(exported.contains_key(*name), "{title}: {name} is not exported"));
            assert_counters_are_rated(expression, title);
            let known = |label: &str| label == "instance" || names.iter().any(|name| exported[*name].contains(label));
            for label in legend_labels(text(target, "legendFormat")) {
                assert!(known(label), "{title}: no label {label} in {expression}");
            }
        }
    }
}

fn assert_counters_are_rated(expression: &str, title: &str) {
    for name in metric_names(expression).filter(|name| name.ends_with("_total")) {
        assert!(expression.contains(&format!("rate({name}{{")), "{title}: {name} is a counter");
    }
}

fn legend_labels(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).map(|rest| rest.split_once("}}").expect("braces that close").0.trim())
}

#[test]
fn panels_lie_side_by_side_and_the_variables_are_defined() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for cell in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{} overlaps", text(panel, "title"));
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: BTreeSet<&str> = variables.iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(names, BTreeSet::from(["datasource", "instance"]));
    let query = text(&variables[1]["query"], "query");
    assert!(metric_names(query).all(|name| exported().contains_key(name)), "{query}");
}

/// `KEY=VALUE` by section, in order.
fn unit() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    let mut sections: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    let mut section = None;
    for line in UNIT.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = Some(name);
            continue;
        }
        let assignment = line.split_once('=').unwrap_or_else(|| panic!("no assignment: {line}"));
        sections.entry(section.expect("a section before the first assignment")).or_default().push(assignment);
    }
    sections
}

fn one(section: &str, key: &str) -> &'static str {
    let unit = unit();
    let values: Vec<&str> = unit[section].iter().filter(|(name, _)| *name == key).map(|(_, value)| *value).collect();
    assert_eq!(values.len(), 1, "{key} in [{section}]");
    values[0]
}

#[test]
fn the_unit_starts_reloads_and_stops_the_agent() {
    let command: Vec<&str> = one("Service", "ExecStart").split_whitespace().collect();
    assert!(command[0].starts_with('/') && command[0].ends_with("/lbagent"), "{command:?}");
    let said = cli::command().try_get_matches_from(&command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert_eq!(said.subcommand_name(), Some("run"));
    let command: Vec<&str> = one("Service", "ExecStopPost").split_whitespace().collect();
    let said = cli::command().try_get_matches_from(&command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert_eq!(said.subcommand_name(), Some("release"), "whatever became of the agent, nothing of it stays");
    assert_eq!(one("Service", "ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(one("Service", "KillSignal"), "SIGTERM");
    assert_eq!(one("Service", "Restart"), "on-failure");
    assert_eq!(one("Install", "WantedBy"), "multi-user.target");
}

/// Started by the unit alike, they must mean the same agent.
#[test]
fn whoever_asks_or_cleans_up_looks_where_the_agent_is() {
    let socket = |command: &str| {
        let root = cli::command();
        let option = root.find_subcommand(command).unwrap().get_opts().find(|option| option.get_id() == "socket");
        let option = option.unwrap_or_else(|| panic!("{command} has no --socket")).clone();
        let default = option.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        (default, option.get_env().map(|name| name.to_string_lossy().into_owned()))
    };
    let run = socket("run");
    assert_eq!(run, (Some("/run/lbagent/lbagent.sock".into()), Some("LBAGENT_SOCKET".into())));
    for command in ["status", "why", "route", "check", "standby", "unstandby", "release"] {
        assert_eq!(socket(command), run, "{command}");
    }
}

/// The unit's comment says that every option has a variable, and names some.
#[test]
fn the_environment_file_can_say_whatever_run_accepts() {
    let command = cli::command();
    let options = command.find_subcommand("run").unwrap().get_opts();
    let variables: BTreeMap<&str, Option<&str>> =
        options.map(|option| (option.get_id().as_str(), option.get_env().and_then(|name| name.to_str()))).collect();
    for (option, variable) in &variables {
        assert_eq!(variable.map(str::to_owned), Some(format!("LBAGENT_{}", option.to_uppercase())));
    }
    let words = UNIT.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named: Vec<&str> = words.filter(|word| word.starts_with("LBAGENT_")).collect();
    assert!(!named.is_empty());
    named.iter().for_each(|name| assert!(variables.values().any(|known| known == &Some(*name)), "{name}"));
}

#[test]
fn the_unit_gives_what_the_agent_needs_and_its_defaults_point_to() {
    let capabilities: BTreeSet<&str> = one("Service", "CapabilityBoundingSet").split_whitespace().collect();
    assert_eq!(capabilities, BTreeSet::from(["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]));
    let families: BTreeSet<&str> = one("Service", "RestrictAddressFamilies").split_whitespace().collect();
    for family in ["AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_UNIX"] {
        assert!(families.contains(family), "{family}");
    }
    // /run/lbagent/lbagent.sock and /var/lib/lbagent/state.
    assert_eq!((one("Service", "RuntimeDirectory"), one("Service", "StateDirectory")), ("lbagent", "lbagent"));
    assert!(one("Service", "LimitNOFILE").parse::<u64>().unwrap() >= 100_000);
    // The thread that renews the leases asks for the lowest real-time priority, and for no capability.
    assert_eq!((one("Service", "LimitRTPRIO"), one("Service", "RestrictRealtime")), ("1", "no"));
}

/// A misspelt key is ignored by systemd with a warning that nobody reads.
#[test]
fn the_unit_has_no_key_twice_and_none_that_systemd_does_not_know() {
    const KNOWN: &str = "Description Wants After StartLimitIntervalSec Type EnvironmentFile ExecStart ExecReload ExecStopPost \
        KillSignal TimeoutStopSec Restart RestartSec RuntimeDirectory RuntimeDirectoryMode RuntimeDirectoryPreserve \
        StateDirectory StateDirectoryMode LimitNOFILE LimitRTPRIO OOMScoreAdjust CPUWeight CapabilityBoundingSet \
        AmbientCapabilities NoNewPrivileges RestrictAddressFamilies RestrictNamespaces RestrictRealtime \
        RestrictSUIDSGID LockPersonality MemoryDenyWriteExecute SystemCallArchitectures SystemCallFilter \
        SystemCallErrorNumber ProtectSystem ProtectHome ProtectClock ProtectControlGroups ProtectHostname \
        ProtectKernelLogs ProtectKernelModules ProtectKernelTunables PrivateDevices PrivateTmp WantedBy";
    let unit = unit();
    assert_eq!(unit.keys().copied().collect::<Vec<_>>(), ["Install", "Service", "Unit"]);
    let mut seen = BTreeSet::new();
    for (key, value) in unit.values().flatten() {
        assert!(KNOWN.split_whitespace().any(|known| known == *key), "{key}");
        assert!(seen.insert(key), "{key} twice");
        assert!(!value.is_empty(), "{key} is empty");
    }
}
