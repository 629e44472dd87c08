//! Desired state: from JSON files to [`crate::model::Desired`].
mod canonical;
mod convert;
mod decode;
mod diagnostic;
mod digest;
mod json;
mod object;
mod pointer;
mod render;
pub mod schema;
mod source;
mod suggest;

pub use decode::{Decoded, decode};
pub use diagnostic::Diagnostic;
pub use object::{Object, Objects};
pub use pointer::Pointer;
pub use render::render;
pub use source::{Source, Span};
