//! Responses in GitHub's formats: errors, validation errors and pages.

use serde_json::{Value, json};

/// A response. The headers that all responses have are added by [`super::serve`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GithubResponse {
    pub(crate) status: u16,
    pub(crate) body: GithubBody,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GithubBody {
    Empty,
    Json(Value),
    /// The raw content of a file, or the text of the proxy in front of the API.
    Text(String),
}

impl GithubResponse {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: GithubBody::Json(body),
            headers: Vec::new(),
        }
    }

    pub(crate) fn ok(body: Value) -> Self {
        Self::json(200, body)
    }

    /// `201` with the address of what was created.
    pub(crate) fn created(body: Value) -> Self {
        let location = body["url"].as_str().unwrap_or_default().to_owned();
        Self::json(201, body).with_header("location", location)
    }

    pub(crate) fn no_content() -> Self {
        Self {
            status: 204,
            body: GithubBody::Empty,
            headers: Vec::new(),
        }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An error: a status with a message, and what is wrong with single fields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GithubError {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) errors: Option<Value>,
    /// The page of the documentation, where it is not that of the endpoint.
    pub(crate) documentation: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What an endpoint returns.
pub(crate) type GithubResult = Result<GithubResponse, GithubError>;

impl GithubError {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            errors: None,
            documentation: None,
            headers: Vec::new(),
        }
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "Not Found")
    }

    pub(crate) fn with_documentation(self, page: &'static str) -> Self {
        Self {
            documentation: Some(page),
            ..self
        }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// `422` about one field of a resource.
    pub(crate) fn invalid(resource: &str, field: &str, code: &str) -> Self {
        Self::validation(&json!({ "resource": resource, "code": code, "field": field }))
    }

    /// `422` about one field of a resource, in words.
    pub(crate) fn explained(resource: &str, field: &str, code: &str, message: &str) -> Self {
        Self::validation(
            &json!({ "resource": resource, "code": code, "field": field, "message": message }),
        )
    }

    /// `422` with one entry in `errors`.
    fn validation(error: &Value) -> Self {
        Self {
            errors: Some(json!([error])),
            ..Self::new(422, "Validation Failed")
        }
    }

    /// `422` of the check against the schema of the request, before anything is looked up.
    pub(crate) fn malformed(why: &str) -> Self {
        Self::new(422, format!("Invalid request.\n\n{why}"))
    }

    /// The response; `page` is the documentation of the endpoint.
    pub(crate) fn into_response(self, page: &str) -> GithubResponse {
        let page = self.documentation.unwrap_or(page);
        let mut body = json!({ "message": self.message });
        if let Some(errors) = self.errors {
            body["errors"] = errors;
        }
        body["documentation_url"] = page.into();
        body["status"] = self.status.to_string().into();
        GithubResponse {
            headers: self.headers,
            ..GithubResponse::json(self.status, body)
        }
    }
}
