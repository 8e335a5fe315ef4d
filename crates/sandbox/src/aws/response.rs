//! Responses and errors of the AWS APIs: plain documents for S3, envelopes for the Query protocol.

use super::xml::XmlNode;

/// The XML namespace of S3's documents.
pub(crate) const S3_XML_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The response of an operation, before it becomes an HTTP response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AwsResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl AwsResponse {
    /// A response without headers and body.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// `200` with a document in S3's namespace.
    pub(crate) fn s3_document(node: &XmlNode) -> Self {
        Self::xml_document(200, node, Some(S3_XML_NAMESPACE))
    }

    /// A response whose body is `node`, in `namespace` if there is one.
    pub(crate) fn xml_document(status: u16, node: &XmlNode, namespace: Option<&str>) -> Self {
        let body = node.to_document(namespace);
        Self {
            status,
            headers: Vec::new(),
            body,
        }
        .with_header("content-type", "application/xml")
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a header if there is a value for it.
    pub(crate) fn with_optional_header(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with_header(name, value),
            None => self,
        }
    }
}

/// An error response of AWS. S3 and the Query protocol render it differently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AwsError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    /// Elements that S3's error document has besides `Code` and `Message`, such as `BucketName`.
    pub(crate) extra_elements: Vec<(&'static str, String)>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl AwsError {
    /// An error with an HTTP status, an AWS error code and a message.
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// Adds an element to S3's error document.
    pub(crate) fn with_element(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra_elements.push((name, value.into()));
        self
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// `403 AccessDenied`.
    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// `400 MalformedXML`.
    pub(crate) fn malformed_xml() -> Self {
        let message = "The XML you provided was not well-formed or did not validate against our published schema";
        Self::new(400, "MalformedXML", message)
    }

    /// `400 InvalidArgument`.
    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message)
    }

    /// `400 InvalidRequest`.
    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequest", message)
    }

    /// `400 ValidationError` of the query protocol.
    pub(crate) fn validation_error(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// `400 MalformedPolicyDocument` of IAM and STS.
    pub(crate) fn malformed_policy_document(message: String) -> Self {
        Self::new(400, "MalformedPolicyDocument", message)
    }

    /// `405 MethodNotAllowed` of S3.
    pub(crate) fn method_not_allowed() -> Self {
        let message = "The specified method is not allowed against this resource.";
        Self::new(405, "MethodNotAllowed", message)
    }

    /// `404 NoSuchEntity` of IAM.
    pub(crate) fn no_such_entity(message: impl Into<String>) -> Self {
        Self::new(404, "NoSuchEntity", message)
    }

    /// Renders the error as S3 does. `id` is the request id.
    pub(crate) fn to_s3_response(&self, resource: &str, id: &str) -> AwsResponse {
        let node = XmlNode::new("Error")
            .with_text("Code", &self.code)
            .with_text("Message", &self.message);
        let node = node.with_children(
            self.extra_elements
                .iter()
                .map(|(name, value)| XmlNode::leaf(*name, value)),
        );
        let node = node
            .with_text("Resource", resource)
            .with_text("RequestId", id)
            .with_text("HostId", id);
        self.append_headers(AwsResponse::xml_document(self.status, &node, None))
    }

    /// Renders the error as IAM and STS do. `id` is the request id.
    pub(crate) fn to_query_response(&self, namespace: &str, id: &str) -> AwsResponse {
        let error_type = if self.status < 500 {
            "Sender"
        } else {
            "Receiver"
        };
        let error = XmlNode::new("Error").with_text("Type", error_type);
        let error = error
            .with_text("Code", &self.code)
            .with_text("Message", &self.message);
        let node = XmlNode::new("ErrorResponse")
            .with_child(error)
            .with_text("RequestId", id);
        self.append_headers(AwsResponse::xml_document(
            self.status,
            &node,
            Some(namespace),
        ))
    }

    fn append_headers(&self, mut response: AwsResponse) -> AwsResponse {
        response.headers.extend(
            self.headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        response
    }
}
