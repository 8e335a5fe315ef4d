//! What S3 has and the sandbox does not simulate.

/// Sub-resources that are not simulated. Requests for them must not be taken for the default operation.
pub(super) const UNSUPPORTED_SUBRESOURCES: [&str; 19] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "renameObject",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "torrent",
    "partNumber",
];
