//! Keys of KMS: which one encrypts an object, and who may use it.
//!
//! Nothing is encrypted, and every key exists. But whoever writes or reads an object needs a right on its key beside
//! those of S3, and the policy of a key is here the one that KMS gives it: the key's account decides by its own policies,
//! and nobody else gets in. The key that AWS keeps for S3 in each account serves everybody in the account.

use std::collections::BTreeMap;

use super::call::Call;
use crate::aws::answer::Problem;
use crate::aws::context::common;
use crate::aws::policy::{self, Ask, Guard};
use crate::aws::who::Who;
use crate::ids;

/// The header that says how an object is encrypted.
pub(super) const ALGORITHM: &str = "x-amz-server-side-encryption";
/// The header that names the key.
pub(super) const KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// The header that says whether one key of the bucket stands between.
pub(super) const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
/// The key that AWS keeps for S3.
const MANAGED: &str = "alias/aws/s3";

/// What to do with a key.
pub(super) const WRITE: &str = "kms:GenerateDataKey";
pub(super) const READ: &str = "kms:Decrypt";

type Headers = BTreeMap<String, String>;

/// Whether these are the headers of an object that a key of KMS encrypts.
pub(super) fn encrypts(headers: &Headers) -> bool {
    headers.contains_key(KEY)
}

/// How a new object will be encrypted: as the request says, else as the bucket does.
///
/// # Errors
/// `400` for what does not fit together, and for a key that is none.
pub(super) fn choose(call: &mut Call<'_>) -> Result<Headers, Problem> {
    let said = |name: &str| call.request.header(name).map(str::to_owned);
    let (algorithm, key, bucket_key) = (said(ALGORITHM), said(KEY), said(BUCKET_KEY));
    let config = &call.look()?.config;
    let (by_default, default_key) = config.cipher();
    // Who names an algorithm says everything: the bucket's key is not taken in addition.
    let key = key.or_else(|| {
        default_key
            .filter(|_| algorithm.is_none())
            .map(str::to_owned)
    });
    let bucket_key = bucket_key.map_or(config.has_bucket_key(), |said| {
        said.eq_ignore_ascii_case("true")
    });
    let chosen = algorithm.clone().unwrap_or_else(|| by_default.to_owned());
    if !matches!(chosen.as_str(), "AES256" | "aws:kms" | "aws:kms:dsse") {
        return Err(Problem::argument(
            "The encryption method specified is not supported",
        ));
    }
    let named = call.request.header(KEY).is_some();
    if named && !algorithm.is_some_and(|algorithm| algorithm.starts_with("aws:kms")) {
        let message = "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : \
                       aws:kms";
        return Err(Problem::argument(message).field("ArgumentName", ALGORITHM));
    }
    let mut headers = Headers::from([(ALGORITHM.to_owned(), chosen.clone())]);
    if chosen != "AES256" {
        headers.insert(
            KEY.to_owned(),
            resolve(call, key.as_deref().unwrap_or(MANAGED))?,
        );
        if bucket_key && chosen == "aws:kms" {
            headers.insert(BUCKET_KEY.to_owned(), "true".to_owned());
        }
    }
    Ok(headers)
}

/// The ARN of a key, by its ARN, its identifier or an alias: the caller's, unless an ARN says whose it is.
fn resolve(call: &mut Call<'_>, said: &str) -> Result<String, Problem> {
    let unknown = |message: String| Problem::new(400, "KMS.NotFoundException", message);
    let region = call.look()?.region.clone();
    let own = call.who.account().to_owned();
    let (account, name) = match said.splitn(6, ':').collect::<Vec<_>>()[..] {
        ["arn", "aws", "kms", place, account, name] if place == region => {
            (account.to_owned(), name)
        }
        ["arn", _, _, place, _, _] => return Err(unknown(format!("Invalid arn {place}"))),
        _ if said.starts_with("alias/") => (own, said),
        _ => return Ok(arn(&region, &own, checked(said)?)),
    };
    if let Some(id) = name.strip_prefix("key/") {
        return Ok(arn(&region, &account, checked(id)?));
    }
    let alias = name.strip_prefix("alias/").filter(|rest| !rest.is_empty());
    alias.ok_or_else(|| unknown(format!("Invalid keyId '{said}'")))?;
    let key = behind(&region, &account, name);
    let aliases = call.world.aws.root.aliases.entry(key.clone()).or_default();
    if aliases.insert(name.to_owned()) {
        call.world.aws.root_dirty = true;
    }
    Ok(key)
}

/// An identifier of a key, if it can be one.
fn checked(id: &str) -> Result<&str, Problem> {
    let fine = !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let problem = || {
        Problem::new(
            400,
            "KMS.NotFoundException",
            format!("Invalid keyId '{id}'"),
        )
    };
    fine.then_some(id).ok_or_else(problem)
}

fn arn(region: &str, account: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

/// The key that an alias stands for: always the same, and nothing that a policy could guess.
fn behind(region: &str, account: &str, alias: &str) -> String {
    let text = ids::hex(&ids::draw(&["kms", region, account, alias])[..16]);
    let cut = [
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..],
    ];
    arn(region, account, &cut.join("-"))
}

/// Whether the caller may use the key of what has these headers; what no key encrypts, everybody may.
///
/// # Errors
/// `403 AccessDenied`; `400` for strangers without a signature.
pub(super) fn may(
    call: &Call<'_>,
    action: &str,
    headers: &Headers,
    object: &str,
) -> Result<(), Problem> {
    let Some(key) = headers.get(KEY) else {
        return Ok(());
    };
    if *call.who == Who::Anonymous {
        let message = "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.";
        return Err(Problem::argument(message));
    }
    let ["arn", _, _, region, account, _] = key.splitn(6, ':').collect::<Vec<_>>()[..] else {
        return Err(Problem::denied("Access Denied"));
    };
    if call.who.account() != account {
        let who = call.who.arn();
        return Err(Problem::denied(format!(
            "User: {who} is not authorized to perform: {action} on resource: {key} because the resource does not exist in \
             this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
        )));
    }
    if *key == behind(region, account, MANAGED) {
        return Ok(());
    }
    let context = context(call, key, region, headers, object);
    let guard = Guard {
        account: account.to_owned(),
        ..Guard::default()
    };
    policy::decide(
        call.world,
        &Ask {
            who: call.who,
            action,
            resource: key,
            context: &context,
        },
        &guard,
    )
}

/// What policies may ask about a use of a key: S3 asks on the caller's behalf, from an address of its own.
fn context(
    call: &Call<'_>,
    key: &str,
    region: &str,
    headers: &Headers,
    object: &str,
) -> policy::Context {
    let mut context = common(call.world, call.request, call.who, region);
    context.set("aws:SourceIp", None);
    context.set("aws:ViaAWSService", Some("true"));
    context.add("aws:ResourceAccount", call.who.account());
    context.add("kms:CallerAccount", call.who.account());
    context.add("kms:ViaService", format!("s3.{region}.amazonaws.com"));
    let bucket = object.split('/').next().unwrap_or_default();
    let about = if headers.contains_key(BUCKET_KEY) {
        bucket
    } else {
        object
    };
    context.add("kms:EncryptionContext:aws:s3:arn", about);
    context.add("kms:EncryptionContextKeys", "aws:s3:arn");
    for alias in call.world.aws.root.aliases.get(key).into_iter().flatten() {
        context.add("kms:ResourceAliases", alias);
    }
    context
}

/// Refuses headers about encryption where they have no place: a part is encrypted as its upload, a read finds out.
///
/// # Errors
/// `400 InvalidArgument`.
pub(super) fn none_said(call: &Call<'_>) -> Result<(), Problem> {
    let said = [ALGORITHM, KEY]
        .into_iter()
        .find(|name| call.request.header(name).is_some());
    said.map_or(Ok(()), |name| {
        let message = format!("{name} header is not supported for this operation.");
        Err(Problem::argument(message).field("ArgumentName", name))
    })
}
