//! What `--help` adds to the list of options: how each command is commonly said, and what else is to be known. Every
//! line that begins with `lbagent` is a command line, and a test holds it to be one.

pub(super) const ALL: &str = "\
Examples:
  lbagent validate                          # is /var/lib/lbagent/state valid?
  lbagent drill --state-dir my-state        # and does it do what it should? Touches nothing outside the drill
  lbagent apply vip-web.json pool-web.json  # move changes in together
  lbagent status                            # who holds what, since when and why; backends; problems
  lbagent why web                           # who owns the Vip `web`, and how that came about
  lbagent check pool web                    # for Nagios, Icinga and their like

Each option of `run` can also be given by the environment variable that its help names. What state files may say is in
`lbagent schema KIND`; what the agent exports to Prometheus is at http://127.0.0.1:9694/metrics.";

pub(super) const RUN: &str = "\
Examples:
  lbagent run                               # as the systemd unit does
  lbagent run --node lb1 --http 0.0.0.0:9694
  lbagent run --state-dir my-state --key-file auth.key --workers 2

The key file is the same on all balancers and readable by root alone. To make one:
  (echo -n \"2026 \"; openssl rand -hex 32) | install -m 600 /dev/stdin /etc/lbagent/auth.key

LBAGENT_LOG sets what is logged to stderr: `info` (the default), `debug`, `info,lbagent::election=trace` …
SIGTERM and SIGINT give all VIPs to the other balancers, then end the agent. State files are read as soon as they
change; SIGHUP has them read at once.";

pub(super) const VALIDATE: &str = "\
Examples:
  lbagent validate
  lbagent validate my-state && rsync -a my-state/ lb2:/var/lib/lbagent/state/

Problems are written to stderr, each with file, line, column and what to write instead.";

pub(super) const APPLY: &str = "\
Examples:
  lbagent apply pool-web.json
  lbagent apply --state-dir my-state vip-web.json pool-web.json

Nothing is changed unless the state as a whole would be valid. Exit 0 if it was changed, 1 if not. It acts on this
node's directory only: do the same on the other balancers.";

pub(super) const SCHEMA: &str = "\
Examples:
  lbagent schema vip
  lbagent schema pool > pool.schema.json    # name it in a file's `$schema`, and editors complete and check";

pub(super) const STATUS: &str = "\
Examples:
  lbagent status
  lbagent status -o json | jq '.vips[] | {name, role, why}'
  lbagent status --http 192.0.2.1:9694      # of another node, if its agent listens there

Exit 0 if an agent has answered, 1 if not; whether all is well is for `lbagent check`.";

pub(super) const WHY: &str = "\
Examples:
  lbagent why web
  lbagent why web --http 192.0.2.1:9694     # as another node sees it
  lbagent why web --json | jq .vip.rules

The verdict, then each node of the Vip, the rules in the order in which they were looked at, and what happened lately,
all as this node knows it. Exit 0 if it was explained, 1 if there is no such Vip or no agent.";

pub(super) const ROUTE: &str = "\
Examples:
  lbagent route GET http://www.example.com/api/
  lbagent route POST http://198.51.100.10:8080/ --header 'Cookie:LB=webA' --from 203.0.113.9
  lbagent route GET http://www.example.com/ --state-dir my-state    # what would these files do?
  lbagent route GET http://www.example.com/ --json | jq .outcome

It asks the agent of this node what is in force and which backends are up; without one it goes by the state files.
Each route is shown with the condition that fails, until one takes the request. Exit 0 if a backend or a redirect
would answer, 1 if nobody or only a page of the proxy, 2 if the question makes no sense.";

pub(super) const STANDBY: &str = "\
Examples:
  lbagent standby kernel update
  lbagent standby --force                   # even if nobody else can serve

It lasts until `lbagent unstandby`, shows in status and metrics, and makes `lbagent check` WARN, for the pair has no
reserve meanwhile. The agent refuses it on the last node that can serve, unless it is forced. Exit 1 if it refuses.";

pub(super) const UNSTANDBY: &str = "\
Examples:
  lbagent unstandby

VIPs that prefer this node come back as after a restart: after `failback.after`, if their failback is `auto`.";

pub(super) const RELEASE: &str = "\
Examples:
  lbagent release

The systemd unit runs it after the agent has ended, however that was. It refuses while an agent runs, removes only
addresses that an agent has added, and may be run at any time. Exit 0 if nothing is left, 1 if something is.";

pub(super) const CHECK: &str = "\
Examples:
  lbagent check                             # everything that this node knows
  lbagent check vip web
  lbagent check pool web -w 3 -c 2          # WARNING below 3 backends, CRITICAL below 2
  lbagent check peer lb2 --http 192.0.2.1:9694

One line for people, perfdata after `|`, details on further lines, as the Monitoring Plugins guidelines have it.
UNKNOWN if no agent answers.";

pub(super) const DRILL: &str = "\
Examples:
  lbagent drill                             # the directory `state` here
  lbagent drill --state-dir /var/lib/lbagent/state -v
  lbagent drill -o json | jq .

It runs in network namespaces of its own and alters neither the machine's network nor the state directory. Exit 0 if
every step was as it should be, 1 if not. Without root it needs unprivileged user namespaces.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, command};
    use clap::Parser;

    /// The command lines among the text, without what a shell would do with the rest.
    fn examples(text: &str) -> impl Iterator<Item = Vec<&str>> {
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with("lbagent "));
        lines.map(|line| line.split_whitespace().take_while(|word| !["#", "|", ">", "&&"].contains(word)).collect())
    }

    #[test]
    fn every_command_has_examples_and_each_is_a_command_line() {
        let mut command = command();
        let texts = command.get_subcommands_mut().map(|sub| (sub.get_name().to_owned(), sub.render_help().to_string()));
        for (name, text) in texts.collect::<Vec<_>>() {
            let examples: Vec<_> = examples(&text).collect();
            assert!(!examples.is_empty(), "{name} has no example");
            for words in examples {
                assert_eq!(words[1], name, "{words:?} is no example of {name}");
                assert!(Cli::try_parse_from(&words).is_ok(), "{words:?}");
            }
        }
        let text = command.render_help().to_string();
        let all: Vec<_> = examples(&text).collect();
        assert_eq!(all.len(), 6);
        all.iter().for_each(|words| assert!(Cli::try_parse_from(words).is_ok(), "{words:?}"));
    }

    #[test]
    fn help_fits_a_terminal_of_120_columns() {
        for text in [ALL, RUN, VALIDATE, APPLY, SCHEMA, STATUS, WHY, ROUTE, STANDBY, UNSTANDBY, RELEASE, CHECK, DRILL] {
            assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        }
    }
}
