//! The block of public access of a whole account, which S3 Control serves beside the buckets' own. On
//! AWS it has an address of its own; here it is a path that no bucket can have.

use super::call::S3Call;
use super::config::{
    PublicAccessBlockConfiguration, no_such_configuration, parse_public_access, public_access_node,
};
use crate::aws::response::{AwsError, AwsResponse};

/// The path of the requests of S3 Control for it.
pub(super) const PUBLIC_ACCESS_BLOCK_PATH: &str = "/v20180820/configuration/publicAccessBlock";
const S3_CONTROL_NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

/// Checks that the request is for the caller's own account.
fn check_account(call: &S3Call<'_>) -> Result<(), AwsError> {
    match call.request.header("x-amz-account-id") == Some(call.caller.account()) {
        true => Ok(()),
        false => Err(AwsError::access_denied("Access Denied")),
    }
}

fn set(call: &mut S3Call<'_>, block: Option<PublicAccessBlockConfiguration>) {
    let account = call.caller.account().to_owned();
    call.world.aws.account_mut(&account).public_access = block;
}

/// `GetPublicAccessBlock` of S3 Control
pub(super) fn get_public_access(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_account(call)?;
    let Some(block) = call.account_public_access(call.caller.account()) else {
        let message = "The public access block configuration was not found";
        let code = "NoSuchPublicAccessBlockConfiguration";
        return Err(no_such_configuration(call, code, message));
    };
    Ok(AwsResponse::xml_document(
        200,
        &public_access_node(block),
        Some(S3_CONTROL_NAMESPACE),
    ))
}

/// `PutPublicAccessBlock` of S3 Control
pub(super) fn put_public_access(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_account(call)?;
    let block = parse_public_access(call)?;
    set(call, Some(block));
    Ok(AwsResponse::empty(200))
}

/// `DeletePublicAccessBlock` of S3 Control
pub(super) fn delete_public_access(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    check_account(call)?;
    set(call, None);
    Ok(AwsResponse::empty(204))
}
