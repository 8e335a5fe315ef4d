//! The parts of a bucket's configuration that are kept as they were sent and change nothing in the
//! sandbox: CORS, website and replication.

use super::call::S3Call;
use super::config::{BucketConfig, no_such_configuration};
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// The stored documents of a bucket; `None` where nothing was set.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct OptionalConfig {
    cors: Option<XmlNode>,
    website: Option<XmlNode>,
    replication: Option<XmlNode>,
}

fn show(
    call: &S3Call<'_>,
    part: fn(&OptionalConfig) -> &Option<XmlNode>,
    code: &str,
    message: &str,
) -> Result<AwsResponse, AwsError> {
    match part(&call.visible_config()?.optional) {
        Some(node) => Ok(AwsResponse::s3_document(node)),
        None => Err(no_such_configuration(call, code, message)),
    }
}

fn store(
    call: &mut S3Call<'_>,
    root: &str,
    required: &str,
    part: fn(&mut OptionalConfig) -> &mut Option<XmlNode>,
) -> Result<AwsResponse, AwsError> {
    let node = call.parse_document(root)?;
    if node.child(required).is_none() {
        return Err(AwsError::malformed_xml());
    }
    call.update_config(|config| *part(&mut config.optional) = Some(node))?;
    Ok(AwsResponse::empty(200))
}

fn remove(
    call: &mut S3Call<'_>,
    edit: impl FnOnce(&mut BucketConfig),
) -> Result<AwsResponse, AwsError> {
    call.update_config(edit)?;
    Ok(AwsResponse::empty(204))
}

/// `GetBucketCors`
pub(super) fn get_cors(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let message = "The CORS configuration does not exist";
    show(
        call,
        |config| &config.cors,
        "NoSuchCORSConfiguration",
        message,
    )
}

/// `PutBucketCors`
pub(super) fn put_cors(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    store(call, "CORSConfiguration", "CORSRule", |config| {
        &mut config.cors
    })
}

/// `DeleteBucketCors`
pub(super) fn delete_cors(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    remove(call, |config| config.optional.cors = None)
}

/// `GetBucketWebsite`
pub(super) fn get_website(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let message = "The specified bucket does not have a website configuration";
    show(
        call,
        |config| &config.website,
        "NoSuchWebsiteConfiguration",
        message,
    )
}

/// `PutBucketWebsite`
pub(super) fn put_website(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let redirects = call
        .parse_document("WebsiteConfiguration")?
        .child("RedirectAllRequestsTo")
        .is_some();
    let required = if redirects {
        "RedirectAllRequestsTo"
    } else {
        "IndexDocument"
    };
    store(call, "WebsiteConfiguration", required, |config| {
        &mut config.website
    })
}

/// `DeleteBucketWebsite`
pub(super) fn delete_website(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    remove(call, |config| config.optional.website = None)
}

/// `GetBucketReplication`
pub(super) fn get_replication(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let message = "The replication configuration was not found";
    let code = "ReplicationConfigurationNotFoundError";
    show(call, |config| &config.replication, code, message)
}

/// `PutBucketReplication`. Only versions can be replicated.
pub(super) fn put_replication(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    if call.bucket_state()?.config.versioning.as_deref() != Some("Enabled") {
        return Err(AwsError::invalid_request(
            "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
        ));
    }
    store(call, "ReplicationConfiguration", "Rule", |config| {
        &mut config.replication
    })
}

/// `DeleteBucketReplication`
pub(super) fn delete_replication(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    remove(call, |config| config.optional.replication = None)
}
