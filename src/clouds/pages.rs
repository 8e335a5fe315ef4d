//! Bounds lists that come in pages: a server that names a next page forever must not keep a run forever.

use std::time::{Duration, Instant};

use super::{CloudError, CloudProvider, ErrorKind};

/// The most pages of one list. The largest lists are an organization's machines, 1000 to a page.
const MAX_PAGES: u32 = 500;
/// The longest time to read one list. A single request has its own limit, see [`super::http`].
const MAX_DURATION: Duration = Duration::from_secs(150);

/// Counts the pages of one list.
#[derive(Debug)]
pub(super) struct PageLimit {
    cloud: CloudProvider,
    pages: u32,
    started_at: Instant,
}

impl PageLimit {
    pub(super) fn new(cloud: CloudProvider) -> Self {
        Self {
            cloud,
            pages: 0,
            started_at: Instant::now(),
        }
    }

    /// Counts a page before it is requested.
    ///
    /// # Errors
    /// When the list has too many pages, or takes too long.
    pub(super) fn begin_page(&mut self, operation: &str) -> Result<(), CloudError> {
        let reason = if self.pages == MAX_PAGES {
            format!("the list does not end: it has more than {MAX_PAGES} pages")
        } else if self.pages > 0 && self.started_at.elapsed() > MAX_DURATION {
            let (pages, secs) = (self.pages, MAX_DURATION.as_secs());
            format!("the list does not end: {pages} pages took more than {secs} s")
        } else {
            self.pages += 1;
            return Ok(());
        };
        Err(CloudError {
            cloud: self.cloud,
            ..CloudError::new(operation, ErrorKind::InvalidResponse, reason)
        })
    }
}
