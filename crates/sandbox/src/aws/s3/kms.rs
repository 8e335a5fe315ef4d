//! Server-side encryption with KMS: which key encrypts an object, and who may use the key.
//!
//! Nothing is encrypted, and every key exists. But reading and writing an object needs permission for
//! its key too. Every key has the default key policy, which delegates to the identity-based policies of
//! the key's account and admits no other account. The AWS managed key `aws/s3` can be used by everyone
//! in its account.

use std::collections::BTreeMap;

use super::call::S3Call;
use crate::aws::caller::Caller;
use crate::aws::policy::{self, AuthorizationRequest, ResourcePolicy};
use crate::aws::request_context::build_global_context;
use crate::aws::response::AwsError;
use crate::ids;

/// The header with the encryption algorithm.
pub(super) const SSE_ALGORITHM_HEADER: &str = "x-amz-server-side-encryption";
/// The header with the ARN, id or alias of the key.
pub(super) const SSE_KMS_KEY_ID_HEADER: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// The header that tells whether an S3 Bucket Key is used.
pub(super) const SSE_BUCKET_KEY_HEADER: &str = "x-amz-server-side-encryption-bucket-key-enabled";
/// The alias of the AWS managed key for S3.
const AWS_MANAGED_KEY_ALIAS: &str = "alias/aws/s3";

/// The permission that writing an object needs on its key.
pub(super) const GENERATE_DATA_KEY: &str = "kms:GenerateDataKey";
/// The permission that reading an object needs on its key.
pub(super) const DECRYPT: &str = "kms:Decrypt";

type ObjectHeaders = BTreeMap<String, String>;

/// Whether these are the headers of an object that is encrypted with a KMS key.
pub(super) fn is_kms_encrypted(headers: &ObjectHeaders) -> bool {
    headers.contains_key(SSE_KMS_KEY_ID_HEADER)
}

/// The encryption headers of a new object, from the request or else from the bucket's default.
///
/// # Errors
/// `400` if the headers of the request contradict each other or the key is malformed.
pub(super) fn choose_encryption(call: &mut S3Call<'_>) -> Result<ObjectHeaders, AwsError> {
    let header = |name: &str| call.request.header(name).map(str::to_owned);
    let (algorithm, key, bucket_key) = (
        header(SSE_ALGORITHM_HEADER),
        header(SSE_KMS_KEY_ID_HEADER),
        header(SSE_BUCKET_KEY_HEADER),
    );
    let config = &call.bucket_state()?.config;
    let (default_algorithm, default_key) = config.default_cipher();
    // A request that names an algorithm overrides the bucket's default as a whole, key included.
    let key = key.or_else(|| {
        default_key
            .filter(|_| algorithm.is_none())
            .map(str::to_owned)
    });
    let bucket_key = bucket_key.map_or(config.is_bucket_key_enabled(), |value| {
        value.eq_ignore_ascii_case("true")
    });
    let effective_algorithm = algorithm
        .clone()
        .unwrap_or_else(|| default_algorithm.to_owned());
    if !matches!(
        effective_algorithm.as_str(),
        "AES256" | "aws:kms" | "aws:kms:dsse"
    ) {
        return Err(AwsError::invalid_argument(
            "The encryption method specified is not supported",
        ));
    }
    let names_key = call.request.header(SSE_KMS_KEY_ID_HEADER).is_some();
    if names_key && !algorithm.is_some_and(|algorithm| algorithm.starts_with("aws:kms")) {
        let message = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : \
                       aws:kms";
        return Err(
            AwsError::invalid_argument(message).with_element("ArgumentName", SSE_ALGORITHM_HEADER)
        );
    }
    let mut headers =
        ObjectHeaders::from([(SSE_ALGORITHM_HEADER.to_owned(), effective_algorithm.clone())]);
    if effective_algorithm != "AES256" {
        headers.insert(
            SSE_KMS_KEY_ID_HEADER.to_owned(),
            resolve_key_arn(call, key.as_deref().unwrap_or(AWS_MANAGED_KEY_ALIAS))?,
        );
        if bucket_key && effective_algorithm == "aws:kms" {
            headers.insert(SSE_BUCKET_KEY_HEADER.to_owned(), "true".to_owned());
        }
    }
    Ok(headers)
}

/// Resolves a key ARN, a key id or an alias to a key ARN. Without an account it is a key of the caller's
/// account. Aliases are recorded for the condition key `kms:ResourceAliases`.
fn resolve_key_arn(call: &mut S3Call<'_>, reference: &str) -> Result<String, AwsError> {
    let not_found = |message: String| AwsError::new(400, "KMS.NotFoundException", message);
    let region = call.bucket_state()?.region.clone();
    let caller_account = call.caller.account().to_owned();
    let (account, name) = match reference.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", "aws", "kms", key_region, account, name] if key_region == region => {
            (account.to_owned(), name)
        }
        ["arn", _, _, key_region, _, _] => {
            return Err(not_found(format!("Invalid arn {key_region}")));
        }
        _ if reference.starts_with("alias/") => (caller_account, reference),
        _ => return Ok(key_arn(&region, &caller_account, check_key_id(reference)?)),
    };
    if let Some(id) = name.strip_prefix("key/") {
        return Ok(key_arn(&region, &account, check_key_id(id)?));
    }
    let alias = name.strip_prefix("alias/").filter(|rest| !rest.is_empty());
    alias.ok_or_else(|| not_found(format!("Invalid keyId '{reference}'")))?;
    let key = key_arn_of_alias(&region, &account, name);
    let aliases = call
        .world
        .aws
        .global
        .aliases
        .entry(key.clone())
        .or_default();
    if aliases.insert(name.to_owned()) {
        call.world.aws.global_dirty = true;
    }
    Ok(key)
}

/// Checks the syntax of a key id.
fn check_key_id(id: &str) -> Result<&str, AwsError> {
    let is_valid = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let error = || {
        AwsError::new(
            400,
            "KMS.NotFoundException",
            format!("Invalid keyId '{id}'"),
        )
    };
    is_valid.then_some(id).ok_or_else(error)
}

fn key_arn(region: &str, account: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

/// The ARN of the key that an alias refers to. The id is derived from the alias, so it is always the same.
fn key_arn_of_alias(region: &str, account: &str, alias: &str) -> String {
    let digest = ids::hex(&ids::derive_bytes(&["kms", region, account, alias])[..16]);
    let groups = [
        &digest[..8],
        &digest[8..12],
        &digest[12..16],
        &digest[16..20],
        &digest[20..],
    ];
    key_arn(region, account, &groups.join("-"))
}

/// Authorizes the use of an object's key. Objects that are not encrypted with KMS need no permission.
///
/// # Errors
/// `403 AccessDenied`; `400` for anonymous callers.
pub(super) fn authorize_key_use(
    call: &S3Call<'_>,
    action: &str,
    headers: &ObjectHeaders,
    object: &str,
) -> Result<(), AwsError> {
    let Some(key) = headers.get(SSE_KMS_KEY_ID_HEADER) else {
        return Ok(());
    };
    if *call.caller == Caller::Anonymous {
        let message = "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.";
        return Err(AwsError::invalid_argument(message));
    }
    let ["arn", _, _, region, account, _] = key.splitn(6, ':').collect::<Vec<_>>()[..] else {
        return Err(AwsError::access_denied("Access Denied"));
    };
    if call.caller.account() != account {
        let caller_arn = call.caller.arn();
        return Err(AwsError::access_denied(format!(
            "User: {caller_arn} is not authorized to perform: {action} on resource: {key} because the resource does not exist in \
             this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
        )));
    }
    // The policy of the AWS managed key admits the whole account, so no identity-based policy is needed.
    if *key == key_arn_of_alias(region, account, AWS_MANAGED_KEY_ALIAS) {
        return Ok(());
    }
    let context = build_key_context(call, key, region, headers, object);
    let resource_policy = ResourcePolicy {
        owner_account: account.to_owned(),
        ..ResourcePolicy::default()
    };
    policy::authorize(
        call.world,
        &AuthorizationRequest {
            caller: call.caller,
            action,
            resource: key,
            context: &context,
        },
        &resource_policy,
    )
}

/// The request context for the use of a key. S3 calls KMS on behalf of the caller, so the source address
/// is not the caller's.
fn build_key_context(
    call: &S3Call<'_>,
    key: &str,
    region: &str,
    headers: &ObjectHeaders,
    object: &str,
) -> policy::RequestContext {
    let mut context = build_global_context(call.world, call.request, call.caller, region);
    context.set("aws:SourceIp", None);
    context.set("aws:ViaAWSService", Some("true"));
    context.add("aws:ResourceAccount", call.caller.account());
    context.add("kms:CallerAccount", call.caller.account());
    context.add("kms:ViaService", format!("s3.{region}.amazonaws.com"));
    let bucket = object.split('/').next().unwrap_or_default();
    // With an S3 Bucket Key, KMS is called once per bucket, so the context is the bucket's ARN.
    let encryption_context = if headers.contains_key(SSE_BUCKET_KEY_HEADER) {
        bucket
    } else {
        object
    };
    context.add("kms:EncryptionContext:aws:s3:arn", encryption_context);
    context.add("kms:EncryptionContextKeys", "aws:s3:arn");
    for alias in call.world.aws.global.aliases.get(key).into_iter().flatten() {
        context.add("kms:ResourceAliases", alias);
    }
    context
}

/// Rejects encryption headers on requests where the encryption is already determined: reads, and parts of
/// an upload.
///
/// # Errors
/// `400 InvalidArgument`.
pub(super) fn reject_encryption_headers(call: &S3Call<'_>) -> Result<(), AwsError> {
    let unsupported = [SSE_ALGORITHM_HEADER, SSE_KMS_KEY_ID_HEADER]
        .into_iter()
        .find(|name| call.request.header(name).is_some());
    unsupported.map_or(Ok(()), |name| {
        let message = format!("{name} header is not supported for this operation.");
        Err(AwsError::invalid_argument(message).with_element("ArgumentName", name))
    })
}
