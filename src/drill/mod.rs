//! The drill.
pub mod lab;
