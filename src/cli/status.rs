//! `lbagent status`: what the running agent tells of itself, for a person or (`-o json`) as it is.

pub use super::client::{FetchError, Target};

use super::client::fetch;
use crate::status::text;
use std::io::{self, Write};

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Tables.
    Text,
    /// The JSON of `GET /status`, untouched.
    Json,
}

/// Prints the status of the agent at `target`. The exit code: 0, or 1 if there is none.
pub fn status(target: &Target, output: Output) -> u8 {
    print(target, output, &mut io::stdout(), &mut io::stderr())
}

fn print(target: &Target, output: Output, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let text = match fetch(target) {
        Ok((status, _)) if output == Output::Text => text::render(&status),
        Ok((_, json)) => format!("{}\n", json.trim_end()),
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            return 1;
        }
    };
    // Whoever reads may have seen enough (`| head`): that is no failure.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::client::tests::{ok, serve_once},
        status::fixture::World,
    };

    fn printed(target: &Target, output: Output) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = print(target, output, &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn text_is_the_table_and_json_is_what_the_agent_sent() {
        let status = World::new().status();
        let (code, out, err) = printed(&serve_once(ok(&status)).0, Output::Text);
        assert_eq!((code, out, err), (0, text::render(&status), String::new()));
        let (code, out, _) = printed(&serve_once(ok(&status)).0, Output::Json);
        assert_eq!((code, out), (0, serde_json::to_string(&status).unwrap() + "\n"));
    }

    #[test]
    fn without_an_agent_it_says_so_and_fails() {
        let target = Target::Socket("/nonexistent/lbagent.sock".into());
        let (code, out, err) = printed(&target, Output::Text);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.starts_with("error: no agent answers at /nonexistent/lbagent.sock"), "{err}");
    }
}
