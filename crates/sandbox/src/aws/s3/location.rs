//! Regions: where a bucket may be made, and where it is.

use super::call::Call;
use crate::aws::answer::{Problem, Reply};
use crate::aws::xml::Node;

/// The region that never names itself, because it was once the only one.
pub(crate) const FIRST: &str = "us-east-1";

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
pub(crate) fn choose(said: Option<&str>, asked: &str) -> Result<String, Problem> {
    let illegal = |constraint: &str| {
        let message = format!(
            "The {constraint} location constraint is incompatible for the region specific endpoint this request was sent to."
        );
        Problem::new(400, "IllegalLocationConstraintException", message)
    };
    match said {
        None if asked == FIRST => Ok(FIRST.to_owned()),
        None => Err(illegal("unspecified")),
        Some(said) if !REGIONS.contains(&said) || said == FIRST => {
            let message = "The specified location-constraint is not valid";
            Err(Problem::new(400, "InvalidLocationConstraint", message)
                .field("LocationConstraint", said))
        }
        Some("EU") if matches!(asked, FIRST | "eu-west-1") => Ok("eu-west-1".to_owned()),
        // Whoever asks the first region may name any other.
        Some(said) if said == asked || asked == FIRST => Ok(said.to_owned()),
        Some(said) => Err(illegal(said)),
    }
}

/// `GetBucketLocation`, the one question that every region answers.
///
/// # Errors
/// `404 NoSuchBucket`.
pub(super) fn get(call: &mut Call<'_>) -> Result<Reply, Problem> {
    let region = &call.look()?.region;
    let said = if region == FIRST { "" } else { region };
    Ok(Reply::xml(&Node::leaf("LocationConstraint", said)))
}
