//! The input and output of endpoints: the parsed API call, the response, and the error in Fly's
//! format.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fly::access::ApiCaller;
use crate::psql_process::PsqlProcess;

/// The body of a response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ResponseBody {
    /// No body.
    Empty,
    /// JSON, as almost everywhere.
    Json(Value),
    /// Plain text, as Fly's router returns for unknown paths.
    Text(String),
    /// The output of a program that the server has yet to run.
    Psql(Box<PsqlProcess>),
}

/// The response of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiResponse {
    pub(crate) status: u16,
    pub(crate) body: ResponseBody,
    /// Additional headers; every response also has the headers of [`crate::http`].
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl ApiResponse {
    /// `200` with a JSON body.
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

    /// A status without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            body: ResponseBody::Empty,
            headers: Vec::new(),
        }
    }

    /// The same response with another header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// `{"ok":true}`, the response to most actions on machines.
    pub(crate) fn ok_true() -> Self {
        Self::ok(json!({ "ok": true }))
    }
}

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl ApiError {
    /// An error with the ordinary body: `error` is the message, `status` is `unknown`.
    pub(crate) fn new(status: u16, error: impl Into<String>) -> Self {
        Self {
            status,
            body: json!({ "error": error.into(), "status": "unknown" }),
        }
    }

    /// An error with one of the few machine-readable values of `status`.
    pub(crate) fn with_code(status: u16, error: impl Into<String>, code: &str) -> Self {
        Self {
            status,
            body: json!({ "error": error.into(), "status": code }),
        }
    }

    /// `400`: the request is invalid.
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
    fn from(error: ApiError) -> Self {
        Self::json(error.status, error.body)
    }
}

/// The result of an endpoint.
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
    /// When the request arrived; the timeout of `wait` counts from here.
    pub(crate) received_ms: i64,
}

impl ApiCall {
    /// A path parameter. An unknown name gives the empty string, which matches no resource.
    pub(crate) fn path_param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// The first value of a query parameter, unless it is empty.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    /// All values of a query parameter, whether repeated or separated by commas.
    pub(crate) fn query_list(&self, name: &str) -> Vec<&str> {
        let values = self.query.iter().filter(|(key, _)| key == name);
        values
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
            .collect()
    }

    /// A boolean query parameter: `1`, `t` and `true` in any case are true, as in Go's
    /// `strconv.ParseBool`.
    pub(crate) fn query_flag(&self, name: &str) -> bool {
        self.query(name)
            .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "t" | "true"))
    }

    /// An integer query parameter.
    ///
    /// # Errors
    /// `400` when it is set but not an integer.
    pub(crate) fn query_number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |v: &str| {
            v.parse()
                .map_err(|_| ApiError::bad_request(format!("invalid value for {name}: {v:?}")))
        };
        self.query(name).map(parse).transpose()
    }

    /// The page size in the query parameter `limit`.
    ///
    /// # Errors
    /// `400` when it is not an integer.
    pub(crate) fn query_limit(&self, default: i64, maximum: i64) -> Result<usize, ApiError> {
        let limit = self.query_number("limit")?.unwrap_or(default);
        Ok(limit.clamp(1, maximum).unsigned_abs() as usize)
    }

    /// The body as a typed request; no body counts as an empty object.
    ///
    /// # Errors
    /// `400` when a known key has the wrong type.
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

/// A string of a request, unless it is empty: Fly's Go client sends zero values for unset fields.
pub(crate) fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
