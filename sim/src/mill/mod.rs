//! A simulated download: what `sim:` URLs say, and the bytes that they name.

mod content;
mod scenario;

pub use content::Content;
pub use scenario::{Scenario, ScenarioError};
