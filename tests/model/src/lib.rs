//! Small clusters of the real protocol core, explored by stateright within stated bounds.

mod letters;
mod liar;
mod model;
mod node;
mod rows;
mod scheme;
mod universe;

pub use liar::Lie;
pub use rows::{Outcome, Row, check, row, rows};
pub use universe::Figures;
