//! scratch
pub mod key;
pub mod machine;
pub mod session;
pub mod wire;
