//! Desired state: from JSON files to [`crate::model::Desired`].
mod canonical;
mod conflict;
mod convert;
mod decode;
mod diagnostic;
mod digest;
mod json;
mod keep;
mod keeper;
mod load;
mod object;
mod pointer;
mod render;
pub mod schema;
mod source;
mod store;
mod suggest;
mod watch;

pub use decode::{Decoded, decode};
pub use diagnostic::Diagnostic;
pub use keep::{Kept, LastGood, Resolved, resolve};
pub use keeper::{Keeper, Snapshot, StateFile};
pub use load::{EMPTY, LARGEST_FILE, Loaded, LoadedFile, MOST_FILES, Survey, is_state_file, load, read_file};
pub use object::{Object, Objects};
pub use pointer::Pointer;
pub use render::render;
pub use source::{Source, Span};
pub use store::{Store, StoreError};
pub use watch::{StateOptions, start};

#[cfg(test)]
mod tests;
