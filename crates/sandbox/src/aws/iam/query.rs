//! The query protocol: a form that names an action, and an envelope around what it answers.

use std::fmt;

use super::Account;
use crate::aws::answer::{Problem, Reply};
use crate::aws::policy::Context;
use crate::aws::request::Request;
use crate::aws::who::Who;
use crate::aws::xml::Node;
use crate::world::World;

const IAM: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) action: String,
    pub(crate) sts: bool,
    form: Vec<(String, String)>,
}

/// Reads a request of the query protocol; `None` when it is none.
pub(crate) fn query(request: &Request) -> Option<Query> {
    if request.path != "/" || !matches!(request.method.as_str(), "POST" | "GET") {
        return None;
    }
    let form = request.form();
    let value = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let action = value("Action")?;
    let sts = value("Version").as_deref() == Some("2011-06-15");
    Some(Query { action, sts, form })
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}",
            if self.sts { "sts" } else { "iam" },
            self.action
        )
    }
}

impl Query {
    /// Whether it changes anything.
    pub(crate) fn writes(&self) -> bool {
        !self.sts
            && !["Get", "List"]
                .iter()
                .any(|start| self.action.starts_with(start))
    }

    /// The namespace of the answer.
    pub(crate) fn namespace(&self) -> &'static str {
        if self.sts { STS } else { IAM }
    }

    /// A parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.form
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A list: `Name.member.1`, `Name.member.2`.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        (1..)
            .map_while(|at| self.get(&format!("{name}.member.{at}")).map(str::to_owned))
            .collect()
    }

    /// Pairs: `Tags.member.1.Key`, `Tags.member.1.Value`.
    pub(crate) fn tags(&self) -> Vec<(String, String)> {
        let one = |at: u32| {
            let key = self.get(&format!("Tags.member.{at}.Key"))?;
            let value = self
                .get(&format!("Tags.member.{at}.Value"))
                .unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        };
        (1..).map_while(one).collect()
    }

    /// Wraps an answer.
    pub(crate) fn envelope(&self, node: &Node, id: &str) -> Reply {
        let mut result = node.clone();
        result.name = format!("{}Result", self.action);
        let response = Node::new(format!("{}Response", self.action)).with(result);
        let response = response.with(Node::new("ResponseMetadata").text("RequestId", id));
        let reply = Reply::document(200, &response, Some(self.namespace()));
        Reply {
            headers: vec![("content-type".to_owned(), "text/xml".to_owned())],
            ..reply
        }
    }
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) query: &'a Query,
    pub(crate) who: &'a Who,
    /// The account that it is about.
    pub(crate) account: String,
    pub(crate) context: Context,
}

impl Call<'_> {
    /// A parameter that must be there.
    ///
    /// # Errors
    /// `400 ValidationError`.
    pub(crate) fn need(&self, name: &str) -> Result<String, Problem> {
        let value = self
            .query
            .get(name)
            .filter(|value| !value.is_empty())
            .map(str::to_owned);
        let shown = decapitalized(name);
        value.ok_or_else(|| {
            Problem::validation(format!(
                "1 validation error detected: Value null at '{shown}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    /// A number, if it is there, that must lie between two others.
    ///
    /// # Errors
    /// `400 ValidationError`.
    pub(crate) fn number(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.query.get(name) else {
            return Ok(None);
        };
        let shown = decapitalized(name);
        let said = |bound: &str| {
            Problem::validation(format!(
                "1 validation error detected: Value '{text}' at '{shown}' failed to satisfy constraint: Member must have \
                 value {bound}"
            ))
        };
        match text.parse::<i64>() {
            Ok(number) if number < least => Err(said(&format!("greater than or equal to {least}"))),
            Ok(number) if number > most => Err(said(&format!("less than or equal to {most}"))),
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Problem::new(400, "MalformedInput", "Invalid Argument")),
        }
    }

    /// The account's state.
    pub(crate) fn look(&self) -> Option<&Account> {
        self.world.aws.root.accounts.get(&self.account)
    }

    /// The account's state, to change it.
    pub(crate) fn change(&mut self) -> &mut Account {
        self.world.aws.account(&self.account)
    }

    /// A page of a list: what follows the marker, and how the answer says whether there is more.
    ///
    /// # Errors
    /// `400 ValidationError`.
    pub(crate) fn page(&self, name: &str, all: Vec<(String, Node)>) -> Result<Node, Problem> {
        let max = self
            .number("MaxItems", 1, 1000)?
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(100);
        let after = self.query.get("Marker").unwrap_or_default();
        let mut later = all
            .into_iter()
            .filter(|(key, _)| after.is_empty() || key.as_str() > after);
        let shown: Vec<(String, Node)> = later.by_ref().take(max).collect();
        let more = later.next().is_some();
        let marker = shown.last().map(|(key, _)| key.clone()).filter(|_| more);
        let members = Node::new(name).all(shown.into_iter().map(|(_, node)| node));
        Ok(Node::new("")
            .with(members)
            .text("IsTruncated", more)
            .maybe("Marker", marker))
    }
}

/// A parameter as messages call it.
pub(super) fn decapitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}
