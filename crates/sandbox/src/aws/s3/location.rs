//! Regions: where a bucket may be made, and where it is.

use super::call::S3Call;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

/// The region that never names itself, because it was once the only one.
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

/// The region of a new bucket: where it was asked for, which the request must say again everywhere but in the first.
///
/// # Errors
/// `400` when the two differ, or when there is no such region.
pub(crate) fn choose_bucket_region(said: Option<&str>, asked: &str) -> Result<String, AwsError> {
    let illegal = |constraint: &str| {
        let message = format!(
            "The {constraint} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        AwsError::new(400, "IllegalLocationConstraintException", message)
    };
    match said {
        None if asked == DEFAULT_REGION => Ok(DEFAULT_REGION.to_owned()),
        None => Err(illegal("unspecified")),
        Some(said) if !REGIONS.contains(&said) || said == DEFAULT_REGION => {
            let message = "The specified location-constraint is not valid";
            Err(AwsError::new(400, "InvalidLocationConstraint", message)
                .with_element("LocationConstraint", said))
        }
        Some("EU") if matches!(asked, DEFAULT_REGION | "eu-west-1") => Ok("eu-west-1".to_owned()),
        // Whoever asks the first region may name any other.
        Some(said) if said == asked || asked == DEFAULT_REGION => Ok(said.to_owned()),
        Some(said) => Err(illegal(said)),
    }
}

/// `GetBucketLocation`, the one question that every region answers.
///
/// # Errors
/// `404 NoSuchBucket`.
pub(super) fn get(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let region = &call.bucket_state()?.region;
    let said = if region == DEFAULT_REGION { "" } else { region };
    Ok(AwsResponse::s3_document(&XmlNode::leaf(
        "LocationConstraint",
        said,
    )))
}
