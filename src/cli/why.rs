//! `lbagent why VIP`: one decision explained, for a person or as JSON.

use super::{
    client::{Target, fetch},
    status::Output,
};
use crate::status::why;
use std::io::{self, Write};

/// Explains the decision about `vip` at the agent at `target`. The exit code: 0, or 1 if there is no agent or no such
/// Vip.
pub fn explain(target: &Target, vip: &str, output: Output) -> u8 {
    print(target, vip, output, &mut io::stdout(), &mut io::stderr())
}

fn print(target: &Target, vip: &str, output: Output, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let text = fetch(target).map_err(|error| error.to_string()).and_then(|(status, _)| {
        let why = why::why(&status, vip).map_err(|error| error.to_string())?;
        match output {
            Output::Text => Ok(why.to_string()),
            Output::Json => {
                serde_json::to_string_pretty(&why).map(|json| json + "\n").map_err(|error| error.to_string())
            }
        }
    });
    match text {
        Ok(text) => {
            // Whoever reads may have seen enough (`| head`): that is no failure.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            0
        }
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::client::tests::{ok, serve_once},
        status::fixture::World,
    };

    fn printed(target: &Target, vip: &str, output: Output) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = print(target, vip, output, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_vip_is_explained_in_words_and_as_json() {
        let status = World::new().status();
        let (code, out, err) = printed(&serve_once(ok(&status)).0, "web", Output::Text);
        assert_eq!((code, out, err), (0, why::why(&status, "web").unwrap().to_string(), String::new()));
        let (code, out, _) = printed(&serve_once(ok(&status)).0, "web", Output::Json);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &json["node"], &json["vip"]["standings"][1]["node"]), (0, &"lb1".into(), &"lb2".into()));
    }

    #[test]
    fn no_such_vip_and_no_agent_are_told_on_stderr() {
        let (code, out, err) = printed(&serve_once(ok(&World::new().status())).0, "wbe", Output::Text);
        let expected = "error: no Vip is called \"wbe\"; did you mean \"web\"? (there is: web)\n";
        assert_eq!((code, out.as_str(), err.as_str()), (1, "", expected));
        let nobody = Target::Socket("/nonexistent/lbagent.sock".into());
        let (code, _, err) = printed(&nobody, "web", Output::Json);
        assert!(code == 1 && err.starts_with("error: no agent answers at /nonexistent/lbagent.sock"), "{err}");
    }
}
