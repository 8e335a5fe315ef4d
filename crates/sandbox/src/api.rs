//! What goes in and out of an endpoint: the parsed call, the answer, and the refusal in Fly's error shape.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::access::ApiCaller;

/// What follows the status line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ResponseBody {
    /// Nothing at all.
    Empty,
    /// JSON, as almost everywhere.
    Json(Value),
    /// Plain text, as Go's router answers for a path that it does not know.
    Text(String),
}

/// An answer of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) body: ResponseBody,
    /// Headers besides those that every answer has.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl ApiResponse {
    /// `200` with a body.
    pub(crate) fn ok(value: Value) -> Self {
        Self::json(200, value)
    }

    /// Any status with a JSON body.
    pub(crate) fn json(status: u16, value: Value) -> Self {
        Self {
            body: ResponseBody::Json(value),
            ..Self::empty(status)
        }
    }

    /// A status alone.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            body: ResponseBody::Empty,
            headers: Vec::new(),
        }
    }

    /// The same with one more header, or with another value for it.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// `{"ok":true}`, the answer of most actions on machines.
    pub(crate) fn ok_true() -> Self {
        Self::ok(json!({ "ok": true }))
    }
}

/// Why an endpoint did nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl ApiError {
    /// The ordinary error body.
    pub(crate) fn new(status: u16, error: impl Into<String>) -> Self {
        Self {
            status,
            body: json!({ "error": error.into(), "status": "unknown" }),
        }
    }

    /// The same, with one of the few machine-readable statuses.
    pub(crate) fn with_code(status: u16, error: impl Into<String>, code: &str) -> Self {
        Self {
            status,
            body: json!({ "error": error.into(), "status": code }),
        }
    }

    /// `400`: the request makes no sense.
    pub(crate) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(400, error)
    }

    /// `404 thing not found`.
    pub(crate) fn not_found(thing: &str) -> Self {
        Self::new(404, format!("{thing} not found"))
    }

    /// `412 failed_precondition: …`.
    pub(crate) fn failed_precondition(why: impl std::fmt::Display) -> Self {
        Self::new(412, format!("failed_precondition: {why}"))
    }
}

impl From<ApiError> for ApiResponse {
    fn from(refusal: ApiError) -> Self {
        Self::json(refusal.status, refusal.body)
    }
}

/// What an endpoint gives back.
pub(crate) type ApiResult = Result<ApiResponse, ApiError>;

/// A request after routing and authentication.
#[derive(Clone, Debug)]
pub(crate) struct ApiCall {
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    /// `fly-machine-lease-nonce`.
    pub(crate) lease_nonce: Option<String>,
    pub(crate) caller: ApiCaller,
    /// When the request came in; `wait` measures its patience from here.
    pub(crate) received_ms: i64,
}

impl ApiCall {
    /// A part of the path; routes name them, so an absent one is empty and finds nothing.
    pub(crate) fn path_param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// The first value of a query key, when it is not empty.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    /// All values of a query key, whether repeated or separated by commas.
    pub(crate) fn query_list(&self, name: &str) -> Vec<&str> {
        let values = self.query.iter().filter(|(key, _)| key == name);
        values
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
            .collect()
    }

    /// A flag in the query: `1`, `t`, `true` in any case, as Go reads it.
    pub(crate) fn query_flag(&self, name: &str) -> bool {
        self.query(name)
            .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "t" | "true"))
    }

    /// A number in the query.
    ///
    /// # Errors
    /// `400` when it is there and is none.
    pub(crate) fn query_number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |v: &str| {
            v.parse()
                .map_err(|_| ApiError::bad_request(format!("invalid value for {name}: {v:?}")))
        };
        self.query(name).map(parse).transpose()
    }

    /// The body as a typed request; no body counts as an empty object.
    ///
    /// # Errors
    /// `400` when a known key has another type.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let body = if self.body.is_null() {
            json!({})
        } else {
            self.body.clone()
        };
        serde_json::from_value(body)
            .map_err(|error| ApiError::bad_request(format!("invalid request body: {error}")))
    }
}
