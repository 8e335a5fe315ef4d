//! The AWS Query protocol: requests are forms with an `Action`, responses are wrapped in an envelope.

use std::fmt;

use super::AccountState;
use crate::aws::caller::Caller;
use crate::aws::policy::RequestContext;
use crate::aws::request::AwsRequest;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;
use crate::world::SimulatedWorld;

const IAM_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// A parsed request of the Query protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueryRequest {
    pub(crate) action: String,
    pub(crate) is_sts: bool,
    parameters: Vec<(String, String)>,
}

/// Parses a request. `None` if it is not a request of the Query protocol.
pub(crate) fn parse_query_request(request: &AwsRequest) -> Option<QueryRequest> {
    if request.path != "/" || !matches!(request.method.as_str(), "POST" | "GET") {
        return None;
    }
    let form = request.form_parameters();
    let value = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let action = value("Action")?;
    let sts = value("Version").as_deref() == Some("2011-06-15");
    Some(QueryRequest {
        action,
        is_sts: sts,
        parameters: form,
    })
}

impl fmt::Display for QueryRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            if self.is_sts { "sts" } else { "iam" },
            self.action
        )
    }
}

impl QueryRequest {
    /// Whether the action changes anything, so far as fault rules are concerned.
    pub(crate) fn is_write(&self) -> bool {
        !self.is_sts
            && !["Get", "List", "Simulate"]
                .iter()
                .any(|start| self.action.starts_with(start))
    }

    /// The XML namespace of the response.
    pub(crate) fn namespace(&self) -> &'static str {
        if self.is_sts {
            STS_NAMESPACE
        } else {
            IAM_NAMESPACE
        }
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A list parameter: `Name.member.1`, `Name.member.2`, ….
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        (1..)
            .map_while(|index| {
                self.get(&format!("{name}.member.{index}"))
                    .map(str::to_owned)
            })
            .collect()
    }

    /// The parameter `Tags`: `Tags.member.1.Key`, `Tags.member.1.Value`, ….
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let tag = |index: u32| {
            let key = self.get(&format!("Tags.member.{index}.Key"))?;
            let value = self
                .get(&format!("Tags.member.{index}.Value"))
                .unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        };
        (1..).map_while(tag).collect()
    }

    /// Wraps the result of an action. `id` is the request id.
    pub(crate) fn wrap_response(&self, node: &XmlNode, id: &str) -> AwsResponse {
        let mut result = node.clone();
        result.name = format!("{}Result", self.action);
        let response = XmlNode::new(format!("{}Response", self.action)).with_child(result);
        let response =
            response.with_child(XmlNode::new("ResponseMetadata").with_text("RequestId", id));
        let envelope = AwsResponse::xml_document(200, &response, Some(self.namespace()));
        AwsResponse {
            headers: vec![("content-type".to_owned(), "text/xml".to_owned())],
            ..envelope
        }
    }
}

/// The execution of one action: the request, its caller and the world that it changes.
#[derive(Debug)]
pub(crate) struct QueryCall<'a> {
    pub(crate) world: &'a mut SimulatedWorld,
    pub(crate) query: &'a QueryRequest,
    pub(crate) caller: &'a Caller,
    /// The account that the action is for.
    pub(crate) account: String,
    pub(crate) context: RequestContext,
}

impl QueryCall<'_> {
    /// A required parameter.
    ///
    /// # Errors
    /// `400 ValidationError`.
    pub(crate) fn require(&self, name: &str) -> Result<String, AwsError> {
        let value = self
            .query
            .get(name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned);
        let shown = decapitalize(name);
        value.ok_or_else(|| {
            AwsError::validation_error(format!(
                "1 validation error detected: Value null at '{shown}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    /// An optional integer between `least` and `most`.
    ///
    /// # Errors
    /// `400 ValidationError`, or `400 MalformedInput` if it is not an integer.
    pub(crate) fn optional_number(
        &self,
        name: &str,
        min: i64,
        max: i64,
    ) -> Result<Option<i64>, AwsError> {
        let Some(text) = self.query.get(name) else {
            return Ok(None);
        };
        let shown = decapitalize(name);
        let out_of_range = |bound: &str| {
            AwsError::validation_error(format!(
                "1 validation error detected: Value '{text}' at '{shown}' failed to satisfy constraint: Member must have \
                 value {bound}"
            ))
        };
        match text.parse::<i64>() {
            Ok(number) if number < min => {
                Err(out_of_range(&format!("greater than or equal to {min}")))
            }
            Ok(number) if number > max => {
                Err(out_of_range(&format!("less than or equal to {max}")))
            }
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(AwsError::new(400, "MalformedInput", "Invalid Argument")),
        }
    }

    /// The state of the account; `None` if nothing was ever stored in it.
    pub(crate) fn account_state(&self) -> Option<&AccountState> {
        self.world.aws.global.accounts.get(&self.account)
    }

    /// The state of the account, to change it.
    pub(crate) fn account_state_mut(&mut self) -> &mut AccountState {
        self.world.aws.account_mut(&self.account)
    }

    /// One page of a list: `MaxItems` of the keyed nodes in `all` after `Marker`. `all` is sorted by key.
    ///
    /// # Errors
    /// `400 ValidationError`.
    pub(crate) fn paginate(
        &self,
        name: &str,
        all: Vec<(String, XmlNode)>,
    ) -> Result<XmlNode, AwsError> {
        let max = self
            .optional_number("MaxItems", 1, 1000)?
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(100);
        let after = self.query.get("Marker").unwrap_or_default();
        let mut remaining = all
            .into_iter()
            .filter(|(key, _)| after.is_empty() || key.as_str() > after);
        let shown: Vec<(String, XmlNode)> = remaining.by_ref().take(max).collect();
        let is_truncated = remaining.next().is_some();
        // The marker is the last key of the page; the next page begins after it.
        let marker = shown
            .last()
            .map(|(key, _)| key.clone())
            .filter(|_| is_truncated);
        let members = XmlNode::new(name).with_children(shown.into_iter().map(|(_, node)| node));
        Ok(XmlNode::new("")
            .with_child(members)
            .with_text("IsTruncated", is_truncated)
            .with_optional_text("Marker", marker))
    }
}

/// A parameter name as IAM's messages show it: with a lower-case first letter.
pub(super) fn decapitalize(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}
