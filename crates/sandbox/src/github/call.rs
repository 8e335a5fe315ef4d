//! A request after routing and authentication, and the parts of it that endpoints read.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};

use super::access::GithubCaller;
use super::response::{GithubBody, GithubError, GithubResponse};
use super::state::{GithubFile, GithubRepository};
use crate::clock::format_seconds;

/// A request to an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct GithubCall {
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) accept: String,
    pub(crate) caller: GithubCaller,
    /// The repository that the path names; 0 for endpoints without one.
    pub(crate) repository: u64,
    /// The path below the repository, as the links to other pages have it.
    pub(crate) path: String,
    /// Base URL of the API.
    pub(crate) base: String,
    pub(crate) now_ms: i64,
    /// Minimum age of what lists show; above 0 only while a `stale-list` fault is active.
    pub(crate) list_lag_ms: i64,
}

/// The largest page, and the page without `per_page`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageLimits {
    pub(crate) default: usize,
    pub(crate) max: usize,
}

/// The pages of almost all lists.
pub(crate) const PAGES: PageLimits = PageLimits {
    default: 30,
    max: 100,
};

/// The pages of variables.
pub(crate) const VARIABLE_PAGES: PageLimits = PageLimits {
    default: 10,
    max: 30,
};

impl GithubCall {
    /// The repository of the call.
    ///
    /// # Errors
    /// `404` when there is none.
    pub(crate) fn repo<'f>(
        &self,
        file: &'f GithubFile,
    ) -> Result<&'f GithubRepository, GithubError> {
        file.repositories
            .get(&self.repository)
            .ok_or_else(GithubError::not_found)
    }

    /// The repository of the call, to change it.
    ///
    /// # Errors
    /// `404` when there is none.
    pub(crate) fn repo_mut<'f>(
        &self,
        file: &'f mut GithubFile,
    ) -> Result<&'f mut GithubRepository, GithubError> {
        file.repositories
            .get_mut(&self.repository)
            .ok_or_else(GithubError::not_found)
    }

    /// A path parameter, decoded.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// A path parameter that is a number.
    ///
    /// # Errors
    /// `404`, as for every id that does not exist.
    pub(crate) fn number(&self, name: &str) -> Result<u64, GithubError> {
        self.param(name)
            .parse()
            .map_err(|_| GithubError::not_found())
    }

    /// The first value of a query parameter, unless it is empty.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether a query parameter is absent or has this value.
    pub(crate) fn selects(&self, name: &str, actual: &str) -> bool {
        self.query(name).is_none_or(|wanted| wanted == actual)
    }

    /// Whether lists show something that was created at this time.
    pub(crate) fn is_listed(&self, created_ms: i64) -> bool {
        self.list_lag_ms == 0 || created_ms <= self.now_ms - self.list_lag_ms
    }

    /// A property of the body that must be a string if it is there; null counts as absent.
    ///
    /// # Errors
    /// `422` when it has another type.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, GithubError> {
        match &self.body[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Err(GithubError::malformed(&format!(
                "For 'properties/{name}', {other} is not a string."
            ))),
        }
    }

    /// A property of the body that must be a string.
    ///
    /// # Errors
    /// `422` when it is absent or has another type.
    pub(crate) fn required_text(&self, name: &str) -> Result<&str, GithubError> {
        self.text(name)?
            .ok_or_else(|| GithubError::malformed(&format!("\"{name}\" wasn't supplied.")))
    }

    /// A property of the body that must be a boolean if it is there.
    ///
    /// # Errors
    /// `422` when it has another type.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, GithubError> {
        match &self.body[name] {
            Value::Null => Ok(None),
            Value::Bool(flag) => Ok(Some(*flag)),
            other => Err(GithubError::malformed(&format!(
                "For 'properties/{name}', {other} is not a boolean."
            ))),
        }
    }

    /// A property of the body that must be one of these words if it is there.
    ///
    /// # Errors
    /// `422` when it is another word.
    pub(crate) fn word(&self, name: &str, words: &[&str]) -> Result<Option<&str>, GithubError> {
        let text = self.text(name)?;
        match text {
            Some(word) if !words.contains(&word) => Err(GithubError::malformed(&format!(
                "For 'properties/{name}', {word} is not a member of {words:?}."
            ))),
            _ => Ok(text),
        }
    }

    /// The URL of something below the repository in the API.
    pub(crate) fn api_url(&self, repository: &GithubRepository, path: &str) -> String {
        format!("{}/repos/{}{path}", self.base, repository.full_name())
    }

    /// A page of a list, with links to its neighbours. `view` makes the entries, `wrap` puts them into
    /// the body with their total number.
    pub(crate) fn page<T>(
        &self,
        items: &[T],
        limits: PageLimits,
        view: impl Fn(&T) -> Value,
        wrap: impl FnOnce(usize, Vec<Value>) -> Value,
    ) -> GithubResponse {
        let number = |name: &str| self.query(name).and_then(|text| text.parse::<usize>().ok());
        let per_page = number("per_page")
            .filter(|size| *size > 0)
            .map_or(limits.default, |size| size.min(limits.max));
        let page = number("page").filter(|page| *page > 0).unwrap_or(1);
        let pages = items.len().div_ceil(per_page).max(1);
        let start = (page - 1).saturating_mul(per_page);
        let shown = items.iter().skip(start).take(per_page).map(view).collect();
        let response = GithubResponse::ok(wrap(items.len(), shown));
        let mut links = Vec::new();
        let mut link = |to: usize, relation: &str| {
            links.push(format!("<{}>; rel=\"{relation}\"", self.page_url(to)));
        };
        if page > 1 {
            link(page - 1, "prev");
        }
        if page < pages {
            link(page + 1, "next");
            link(pages, "last");
        }
        if page > 1 {
            link(1, "first");
        }
        match links.is_empty() {
            true => response,
            false => response.with_header("link", links.join(", ")),
        }
    }

    /// A page of a list that is an array.
    pub(crate) fn list<T>(&self, items: &[T], view: impl Fn(&T) -> Value) -> GithubResponse {
        self.page(items, PAGES, view, |_, shown| json!(shown))
    }

    /// The URL of another page of the same list. GitHub names the repository by its id there.
    fn page_url(&self, page: usize) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut query: Vec<String> = self
            .query
            .iter()
            .filter(|(name, _)| name != "page")
            .map(|(name, value)| {
                let name = utf8_percent_encode(name, NON_ALPHANUMERIC)
                    .to_string()
                    .replace("%5F", "_");
                format!("{name}={}", encode(value))
            })
            .collect();
        query.push(format!("page={page}"));
        format!(
            "{}/repositories/{}{}?{}",
            self.base,
            self.repository,
            self.path,
            query.join("&")
        )
    }
}

/// Decodes the percent-encoding of a segment of a path.
pub(crate) fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// A time in GitHub's format.
pub(crate) fn time(ms: i64) -> Value {
    format_seconds(ms).into()
}

/// A time that may not have come.
pub(crate) fn optional_time(ms: Option<i64>) -> Value {
    ms.map_or(Value::Null, time)
}

/// The opaque id of an object in GitHub's GraphQL API.
pub(crate) fn node_id(prefix: &str, id: u64) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    format!("{prefix}_{}", engine.encode(id.to_be_bytes()))
}

/// The id in a node id with this prefix.
pub(crate) fn parse_node_id(prefix: &str, text: &str) -> Option<u64> {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let encoded = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let bytes = engine.decode(encoded).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The text of a body that is sent, and its type.
pub(crate) fn encode_body(body: &GithubBody) -> (Option<&'static str>, String) {
    match body {
        GithubBody::Empty => (None, String::new()),
        GithubBody::Json(value) => (Some("application/json; charset=utf-8"), value.to_string()),
        GithubBody::Text(text) => (Some("text/plain; charset=utf-8"), text.clone()),
    }
}
