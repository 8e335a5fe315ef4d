//! Answers and errors of the AWS APIs: S3's bare documents, and the envelopes of the query protocol.

use super::xml::Node;

/// The namespace of everything that S3 says.
pub(crate) const S3_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What an operation answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// A status alone.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// A document of S3.
    pub(crate) fn xml(node: &Node) -> Self {
        Self::document(200, node, Some(S3_NAMESPACE))
    }

    /// A document.
    pub(crate) fn document(status: u16, node: &Node, namespace: Option<&str>) -> Self {
        let body = node.document(namespace);
        Self {
            status,
            headers: Vec::new(),
            body,
        }
        .header("content-type", "application/xml")
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same, with the header if there is something to say.
    pub(crate) fn maybe(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }
}

/// Why an operation did nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// What else the error document of S3 tells.
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// An error by its code.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// The same with one more element in its document.
    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// `403 AccessDenied`.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// `400 MalformedXML`.
    pub(crate) fn malformed_xml() -> Self {
        let message = "The XML you provided was not well-formed or did not validate against our published schema";
        Self::new(400, "MalformedXML", message)
    }

    /// `400 InvalidArgument`.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    /// `400 InvalidRequest`.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequest", message)
    }

    /// `400 ValidationError` of the query protocol.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// `404 NoSuchEntity` of IAM.
    pub(crate) fn no_entity(message: impl Into<String>) -> Self {
        Self::new(404, "NoSuchEntity", message)
    }

    /// As S3 says it.
    pub(crate) fn s3(&self, resource: &str, id: &str) -> Reply {
        let node = Node::new("Error")
            .text("Code", &self.code)
            .text("Message", &self.message);
        let node = node.all(
            self.fields
                .iter()
                .map(|(name, value)| Node::leaf(*name, value)),
        );
        let node = node
            .text("Resource", resource)
            .text("RequestId", id)
            .text("HostId", id);
        self.finish(Reply::document(self.status, &node, None))
    }

    /// As IAM and STS say it.
    pub(crate) fn query(&self, namespace: &str, id: &str) -> Reply {
        let side = if self.status < 500 {
            "Sender"
        } else {
            "Receiver"
        };
        let error = Node::new("Error").text("Type", side);
        let error = error
            .text("Code", &self.code)
            .text("Message", &self.message);
        let node = Node::new("ErrorResponse").with(error).text("RequestId", id);
        self.finish(Reply::document(self.status, &node, Some(namespace)))
    }

    fn finish(&self, mut reply: Reply) -> Reply {
        reply.headers.extend(
            self.headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        reply
    }
}
