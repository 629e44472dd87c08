//! Desired state: what people write down, turned into a [`crate::model::Desired`] that is valid and closed, whatever
//! they wrote.
//!
//! ```text
//! directory ─load→ Source ─json→ tree ─schema→ shape ─convert→ Object ─┐
//!                                                   last good objects ─┼→ keep::resolve → Desired + Diagnostics
//!                                                                      │        └→ store (last good objects)
//!                             watch: when to do it again ──────────────┘
//! ```
//!
//! A file is read once, with the place of every value ([`Source`], [`Pointer`]), so that whatever is wrong can be shown
//! as a compiler would ([`render`]). Mistakes are collected, not thrown: all that are wrong with a file's meaning, and
//! all files that are wrong. What cannot take effect leaves what was in force ([`resolve`] has the rules), across
//! restarts ([`Store`]). Two files mean the same exactly when their canonical form is the same, and digests are made
//! over that.
//!
//! No file here is ever written but those of the store and, beside them, the operator's word that this node is on
//! [`standby`]. Only [`load`], [`Store`], [`Keeper`], [`standby`] and [`start`] do IO; the rest
//! is pure. No input panics, blocks or exhausts memory: not a FIFO, not a file of a terabyte, not a thousand brackets.

mod canonical;
mod conflict;
mod convert;
mod decode;
mod diagnostic;
mod digest;
mod documents;
mod json;
mod keep;
mod keeper;
mod load;
mod object;
mod pointer;
mod render;
pub mod schema;
mod source;
pub mod standby;
mod store;
mod suggest;
mod watch;

pub use decode::{Decoded, decode};
pub use diagnostic::Diagnostic;
pub use documents::{documents, read_documents};
pub use keep::{Kept, LastGood, Resolved, resolve};
pub use keeper::{Keeper, Snapshot, StateFile};
pub use load::{EMPTY, LARGEST_FILE, Loaded, LoadedFile, MOST_FILES, Survey, is_state_file, load, read_file};
pub use object::{Object, Objects};
pub use pointer::Pointer;
pub use render::render;
pub use source::{Source, Span};
pub use store::{Store, StoreError};
pub(crate) use suggest::nearest;
pub use watch::{StateOptions, start};

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
