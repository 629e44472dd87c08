//! What there is to know of a lab when something in it is not as it should be: per balancer, what its kernel holds, what
//! its agent says of itself (in short), and the end of its log.

use super::{Lab, agent::HTTP, host::Host};
use serde_json::Value;
use std::fmt::Write;

/// How many of the last lines of a log are shown.
const LOG_TAIL: usize = 40;

/// A few lines for each balancer.
pub fn explain(lab: &Lab) -> String {
    lab.balancers().map(explain_host).collect()
}

fn explain_host(host: &Host) -> String {
    let name = &host.plan().name;
    let held = host.rtnl().addresses().unwrap_or_default();
    let held: Vec<String> = held.iter().map(|held| format!("{} on {}", held.ip, held.interface)).collect();
    let mut text = format!("── {name} has {}\n", held.join(", "));
    match host.get(HTTP, "/status") {
        Ok((_, body)) => text += &digest(&serde_json::from_str(&body).unwrap_or_default()),
        Err(error) => text += &format!("   no status: {error}\n"),
    }
    let log = host.agent().map(super::agent::Agent::log).unwrap_or_default();
    let count = log.lines().count();
    let _ = writeln!(text, "── {name}: the last of {count} lines of its log");
    log.lines().skip(count.saturating_sub(LOG_TAIL)).for_each(|line| text += &format!("   {line}\n"));
    text
}

/// The parts of a status that explain: roles with their reasons, what is not met, problems, events.
fn digest(status: &Value) -> String {
    let mut text = String::new();
    for vip in items(&status["vips"]) {
        let _ = writeln!(text, "   {} is {}: {}", word(&vip["name"]), word(&vip["role"]), word(&vip["why"]));
    }
    for complaint in complaints(status) {
        let _ = writeln!(text, "   {}: {}", word(&complaint["reason"]), word(&complaint["message"]));
    }
    for event in items(&status["events"]) {
        let _ = writeln!(text, "   {} {}: {}", word(&event["at"]), word(&event["subject"]), word(&event["message"]));
    }
    text
}

/// The problems in a status, of its files and otherwise, and the conditions in it that are not met.
pub fn complaints(status: &Value) -> impl Iterator<Item = &Value> {
    let unmet = items(&status["conditions"]).filter(|condition| condition["status"] != "True");
    unmet.chain(items(&status["problems"])).chain(items(&status["state"]["problems"]))
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_keeps_what_explains() {
        let status = json!({
            "vips": [{ "name": "web", "role": "Backup", "why": "lb1 is Active" }, { "name": "mail", "role": null }],
            "conditions": [
                { "type": "Ready", "status": "True", "reason": "Reconciled", "message": "fine" },
                { "type": "Listening", "status": "False", "reason": "Closed", "message": "port 80 is in use" },
            ],
            "problems": [{ "reason": "KeyFile", "message": "auth.key is readable by others" }],
            "state": { "problems": [{ "reason": "Syntax", "message": "vip.json:1:2" }] },
            "events": [{ "at": "12:00", "subject": "lb1", "message": "heard" }],
        });
        let expected = "   web is Backup: lb1 is Active\n   mail is –: –\n   Closed: port 80 is in use\n   \
                        KeyFile: auth.key is readable by others\n   Syntax: vip.json:1:2\n   12:00 lb1: heard\n";
        assert_eq!(digest(&status), expected);
        assert_eq!(digest(&Value::Null), "");
    }
}
