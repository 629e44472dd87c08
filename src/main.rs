//! The `lbagent` command; see [`lbagent`] for the map of the code.

fn main() -> std::process::ExitCode {
    lbagent::cli::main()
}
