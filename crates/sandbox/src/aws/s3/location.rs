//! Regions of buckets.

use super::call::S3Call;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// The region that has no location constraint, for historical reasons.
pub(crate) const DEFAULT_REGION: &str = "us-east-1";

const REGIONS: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "EU",
];

/// The region of a new bucket. Outside `us-east-1` the location constraint is required and must be the
/// region of the endpoint.
///
/// # Errors
/// `400` if the constraint does not fit the endpoint, or names no region.
pub(crate) fn choose_bucket_region(
    requested: Option<&str>,
    endpoint_region: &str,
) -> Result<String, AwsError> {
    let illegal = |constraint: &str| {
        let message = format!(
            "The {constraint} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        AwsError::new(400, "IllegalLocationConstraintException", message)
    };
    match requested {
        None if endpoint_region == DEFAULT_REGION => Ok(DEFAULT_REGION.to_owned()),
        None => Err(illegal("unspecified")),
        Some(requested) if !REGIONS.contains(&requested) || requested == DEFAULT_REGION => {
            let message = "The specified location-constraint is not valid";
            Err(AwsError::new(400, "InvalidLocationConstraint", message)
                .with_element("LocationConstraint", requested))
        }
        Some("EU") if matches!(endpoint_region, DEFAULT_REGION | "eu-west-1") => {
            Ok("eu-west-1".to_owned())
        }
        // The endpoint of `us-east-1` accepts any location constraint.
        Some(requested) if requested == endpoint_region || endpoint_region == DEFAULT_REGION => {
            Ok(requested.to_owned())
        }
        Some(requested) => Err(illegal(requested)),
    }
}

/// `GetBucketLocation`, which works at the endpoint of every region.
///
/// # Errors
/// `404 NoSuchBucket`.
pub(super) fn get(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let region = &call.bucket_state()?.region;
    let constraint = if region == DEFAULT_REGION { "" } else { region };
    Ok(AwsResponse::s3_document(&XmlNode::leaf(
        "LocationConstraint",
        constraint,
    )))
}
