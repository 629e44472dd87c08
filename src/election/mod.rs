//! scratch
pub mod driver;
pub mod key;
pub mod machine;
pub mod session;
#[cfg(test)]
mod sim;
pub mod wire;
