//! Lists that come in pages. GitHub names the next page in a `Link` header, which is followed as it is given.

use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{GitHubClient, GitHubRequest, github_error};
use crate::clouds::{CloudError, CloudProvider, ErrorKind, pages::PageLimit};

impl GitHubClient {
    /// Reads all pages of a list.
    ///
    /// # Errors
    /// When any page cannot be read: a part of a list is no list.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        operation: &str,
    ) -> Result<Vec<T>, CloudError> {
        self.pages(path, operation, Ok).await
    }

    /// Reads all pages of a list that stands under a key, beside the number of its entries.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub(super) async fn list_under<T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        operation: &str,
    ) -> Result<Vec<T>, CloudError> {
        self.pages(path, operation, |mut page: Value| {
            let list = page.get_mut(key).map(Value::take).unwrap_or_default();
            serde_json::from_value(list).map_err(|_| {
                github_error(
                    operation,
                    ErrorKind::InvalidResponse,
                    format!("the answer has no list `{key}`"),
                )
            })
        })
        .await
    }

    async fn pages<P: DeserializeOwned, T>(
        &self,
        path: &str,
        operation: &str,
        list_of: impl Fn(P) -> Result<Vec<T>, CloudError>,
    ) -> Result<Vec<T>, CloudError> {
        let request = GitHubRequest::get(path, operation);
        let mut url = self.url_of(&request)?;
        let mut limit = PageLimit::new(CloudProvider::GitHub);
        let mut items = Vec::new();
        loop {
            limit.begin_page(operation)?;
            let answer = self.send_to(&url, &request).await?;
            items.extend(list_of(answer.parse(operation)?)?);
            let Some(next) = next_page(&answer.headers) else {
                return Ok(items);
            };
            let next = url
                .join(&next)
                .ok()
                .filter(|next| next.origin() == url.origin());
            // The token goes along, so the next page must be on the same server.
            url = next.ok_or_else(|| {
                github_error(
                    operation,
                    ErrorKind::InvalidResponse,
                    "the next page of the list is on another server",
                )
            })?;
        }
    }
}

/// The address of the next page (RFC 8288): `<https://…>; rel="next"`.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(reqwest::header::LINK)?.to_str().ok()?;
    links.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters
            .split(';')
            .any(|parameter| ["rel=\"next\"", "rel=next"].contains(&parameter.trim()));
        is_next.then(|| target.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_read_from_the_link_header() {
        let next = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("link", text.parse().unwrap());
            next_page(&headers)
        };
        let both = "<https://x/a?page=1>; rel=\"prev\", <https://x/a?page=3>; rel=\"next\"";
        assert_eq!(next(both), Some("https://x/a?page=3".to_owned()));
        assert_eq!(next("<https://x/a?page=1>; rel=\"last\""), None);
        assert_eq!(next_page(&HeaderMap::new()), None);
    }
}
