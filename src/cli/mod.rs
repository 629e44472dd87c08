//! The commands.
pub mod apply;
pub mod schema;
pub mod validate;
