//! Pages that are made for a request, and how many there may be.

use std::sync::Arc;

use tidemill_core::http::serve::Refusal;

/// How many pages may exist at once: beyond that, 503.
const MAX_PAGES: usize = 16;

/// Makes pages, and knows how many there are.
#[derive(Debug)]
pub(super) struct Pages(Arc<()>);

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    bytes: Box<[u8]>,
    _counted: Arc<()>,
}

impl Page {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The page's bytes from `offset` on.
    pub(super) fn from(&self, offset: u64) -> &[u8] {
        usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or_default()
    }
}

impl Pages {
    pub(super) fn new() -> Self {
        Self(Arc::new(()))
    }

    /// The page that `make` makes, if there is room for one more.
    pub(super) fn make(&self, make: impl FnOnce() -> Result<Vec<u8>, Refusal>) -> Result<Page, Refusal> {
        if Arc::strong_count(&self.0) > MAX_PAGES {
            return Err(Refusal::Status(503));
        }
        Ok(Page { bytes: make()?.into(), _counted: self.0.clone() })
    }
}
