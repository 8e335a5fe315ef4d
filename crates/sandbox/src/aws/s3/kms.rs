//! Keys of KMS: which one encrypts an object, and who may use it.
//!
//! Nothing is encrypted, and every key exists. But whoever writes or reads an object needs a right on its key beside
//! those of S3, and the policy of a key is here the one that KMS gives it: the key's account decides by its own policies,
//! and nobody else gets in. The key that AWS keeps for S3 in each account serves everybody in the account.

use std::collections::BTreeMap;

use super::call::S3Call;
use crate::aws::caller::Caller;
use crate::aws::policy::{self, AuthorizationRequest, ResourcePolicy};
use crate::aws::request_context::build_global_context;
use crate::aws::response::AwsError;
use crate::ids;

/// The header that says how an object is encrypted.
pub(super) const SSE_ALGORITHM_HEADER: &str = "x-amz-server-side-encryption";
/// The header that names the key.
pub(super) const SSE_KMS_KEY_ID_HEADER: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// The header that says whether one key of the bucket stands between.
pub(super) const SSE_BUCKET_KEY_HEADER: &str = "x-amz-server-side-encryption-bucket-key-enabled";
/// The key that AWS keeps for S3.
const AWS_MANAGED_KEY_ALIAS: &str = "alias/aws/s3";

/// What to do with a key.
pub(super) const GENERATE_DATA_KEY: &str = "kms:GenerateDataKey";
pub(super) const DECRYPT: &str = "kms:Decrypt";

type ObjectHeaders = BTreeMap<String, String>;

/// Whether these are the headers of an object that a key of KMS encrypts.
pub(super) fn is_kms_encrypted(headers: &ObjectHeaders) -> bool {
    headers.contains_key(SSE_KMS_KEY_ID_HEADER)
}

/// How a new object will be encrypted: as the request says, else as the bucket does.
///
/// # Errors
/// `400` for what does not fit together, and for a key that is none.
pub(super) fn choose_encryption(call: &mut S3Call<'_>) -> Result<ObjectHeaders, AwsError> {
    let said = |name: &str| call.request.header(name).map(str::to_owned);
    let (algorithm, key, bucket_key) = (
        said(SSE_ALGORITHM_HEADER),
        said(SSE_KMS_KEY_ID_HEADER),
        said(SSE_BUCKET_KEY_HEADER),
    );
    let config = &call.bucket_state()?.config;
    let (by_default, default_key) = config.default_cipher();
    // Who names an algorithm says everything: the bucket's key is not taken in addition.
    let key = key.or_else(|| {
        default_key
            .filter(|_| algorithm.is_none())
            .map(str::to_owned)
    });
    let bucket_key = bucket_key.map_or(config.is_bucket_key_enabled(), |said| {
        said.eq_ignore_ascii_case("true")
    });
    let chosen = algorithm.clone().unwrap_or_else(|| by_default.to_owned());
    if !matches!(chosen.as_str(), "AES256" | "aws:kms" | "aws:kms:dsse") {
        return Err(AwsError::invalid_argument(
            "The encryption method specified is not supported",
        ));
    }
    let named = call.request.header(SSE_KMS_KEY_ID_HEADER).is_some();
    if named && !algorithm.is_some_and(|algorithm| algorithm.starts_with("aws:kms")) {
        let message = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : \
                       aws:kms";
        return Err(
            AwsError::invalid_argument(message).with_element("ArgumentName", SSE_ALGORITHM_HEADER)
        );
    }
    let mut headers = ObjectHeaders::from([(SSE_ALGORITHM_HEADER.to_owned(), chosen.clone())]);
    if chosen != "AES256" {
        headers.insert(
            SSE_KMS_KEY_ID_HEADER.to_owned(),
            resolve_key_arn(call, key.as_deref().unwrap_or(AWS_MANAGED_KEY_ALIAS))?,
        );
        if bucket_key && chosen == "aws:kms" {
            headers.insert(SSE_BUCKET_KEY_HEADER.to_owned(), "true".to_owned());
        }
    }
    Ok(headers)
}

/// The ARN of a key, by its ARN, its identifier or an alias: the caller's, unless an ARN says whose it is.
fn resolve_key_arn(call: &mut S3Call<'_>, said: &str) -> Result<String, AwsError> {
    let unknown = |message: String| AwsError::new(400, "KMS.NotFoundException", message);
    let region = call.bucket_state()?.region.clone();
    let own = call.caller.account().to_owned();
    let (account, name) = match said.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", "aws", "kms", place, account, name] if place == region => {
            (account.to_owned(), name)
        }
        ["arn", _, _, place, _, _] => return Err(unknown(format!("Invalid arn {place}"))),
        _ if said.starts_with("alias/") => (own, said),
        _ => return Ok(key_arn(&region, &own, check_key_id(said)?)),
    };
    if let Some(id) = name.strip_prefix("key/") {
        return Ok(key_arn(&region, &account, check_key_id(id)?));
    }
    let alias = name.strip_prefix("alias/").filter(|rest| !rest.is_empty());
    alias.ok_or_else(|| unknown(format!("Invalid keyId '{said}'")))?;
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

/// An identifier of a key, if it can be one.
fn check_key_id(id: &str) -> Result<&str, AwsError> {
    let fine = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let problem = || {
        AwsError::new(
            400,
            "KMS.NotFoundException",
            format!("Invalid keyId '{id}'"),
        )
    };
    fine.then_some(id).ok_or_else(problem)
}

fn key_arn(region: &str, account: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

/// The key that an alias stands for: always the same, and nothing that a policy could guess.
fn key_arn_of_alias(region: &str, account: &str, alias: &str) -> String {
    let text = ids::hex(&ids::derive_bytes(&["kms", region, account, alias])[..16]);
    let cut = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    key_arn(region, account, &cut.join("-"))
}

/// Whether the caller may use the key of what has these headers; what no key encrypts, everybody may.
///
/// # Errors
/// `403 AccessDenied`; `400` for strangers without a signature.
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
        let who = call.caller.arn();
        return Err(AwsError::access_denied(format!(
            "User: {who} is not authorized to perform: {action} on resource: {key} because the resource does not exist in \
             this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
        )));
    }
    if *key == key_arn_of_alias(region, account, AWS_MANAGED_KEY_ALIAS) {
        return Ok(());
    }
    let context = build_key_context(call, key, region, headers, object);
    let guard = ResourcePolicy {
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
        &guard,
    )
}

/// What policies may ask about a use of a key: S3 asks on the caller's behalf, from an address of its own.
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
    let about = if headers.contains_key(SSE_BUCKET_KEY_HEADER) {
        bucket
    } else {
        object
    };
    context.add("kms:EncryptionContext:aws:s3:arn", about);
    context.add("kms:EncryptionContextKeys", "aws:s3:arn");
    for alias in call.world.aws.global.aliases.get(key).into_iter().flatten() {
        context.add("kms:ResourceAliases", alias);
    }
    context
}

/// Refuses headers about encryption where they have no place: a part is encrypted as its upload, a read finds out.
///
/// # Errors
/// `400 InvalidArgument`.
pub(super) fn reject_encryption_headers(call: &S3Call<'_>) -> Result<(), AwsError> {
    let said = [SSE_ALGORITHM_HEADER, SSE_KMS_KEY_ID_HEADER]
        .into_iter()
        .find(|name| call.request.header(name).is_some());
    said.map_or(Ok(()), |name| {
        let message = format!("{name} header is not supported for this operation.");
        Err(AwsError::invalid_argument(message).with_element("ArgumentName", name))
    })
}
