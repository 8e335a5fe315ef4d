//! Access keys that the administrative API hands out. On AWS a person would create the first one in
//! the console.

use base64::Engine as _;
use serde_json::Value;

use super::caller::StoredAccessKey;
use super::iam::IamUser;
use super::policy;
use crate::ids;
use crate::world::SimulatedWorld;

/// The IAM user that an account's administrator key belongs to.
const ADMINISTRATOR_USER: &str = "administrator";

/// An access key of the simulated AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsAccessKey {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
}

/// Whether this is an account id: 12 digits.
pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the administrator key of an account, and creates it if there is none.
pub(crate) fn ensure_administrator_key(world: &mut SimulatedWorld, account: &str) -> AwsAccessKey {
    let is_administrator_key =
        |key: &&StoredAccessKey| key.account == account && key.user == ADMINISTRATOR_USER;
    if let Some((id, key)) = world
        .aws
        .global
        .keys
        .iter()
        .find(|(_, key)| is_administrator_key(key))
    {
        return AwsAccessKey {
            id: id.clone(),
            secret: key.secret.clone(),
        };
    }
    let user = IamUser {
        attached: [policy::ADMINISTRATOR_ACCESS_ARN.to_owned()].into(),
        ..new_user(world)
    };
    world
        .aws
        .account_mut(account)
        .users
        .insert(ADMINISTRATOR_USER.to_owned(), user);
    create_access_key(world, account, ADMINISTRATOR_USER)
}

/// Creates a user whose only policy is `policy`, and an access key for it.
///
/// # Errors
/// The error message of IAM if the policy is invalid.
pub(crate) fn create_key_with_policy(
    world: &mut SimulatedWorld,
    account: &str,
    policy: &Value,
) -> Result<AwsAccessKey, String> {
    let text = policy.to_string();
    policy::parse_identity_policy(&text)?;
    let user = IamUser {
        inline: [("limits".to_owned(), text)].into(),
        ..new_user(world)
    };
    let name = format!("user-{}", &user.id[user.id.len() - 8..]);
    world
        .aws
        .account_mut(account)
        .users
        .insert(name.clone(), user);
    Ok(create_access_key(world, account, &name))
}

fn new_user(world: &mut SimulatedWorld) -> IamUser {
    IamUser {
        id: generate_unique_id(world, "AIDA"),
        ..IamUser::default()
    }
}

fn create_access_key(world: &mut SimulatedWorld, account: &str, user: &str) -> AwsAccessKey {
    let id = generate_unique_id(world, "AKIA");
    let secret = generate_secret(world);
    let key = StoredAccessKey {
        secret: secret.clone(),
        account: account.to_owned(),
        user: user.to_owned(),
    };
    world.aws.global.keys.insert(id.clone(), key);
    AwsAccessKey { id, secret }
}

/// Generates a unique id with one of IAM's prefixes (`AKIA`, `AROA`, …). Access key ids have 20
/// characters, all other ids have 21.
pub(crate) fn generate_unique_id(world: &mut SimulatedWorld, prefix: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let length = if matches!(prefix, "AKIA" | "ASIA") {
        16
    } else {
        17
    };
    let bytes = world.draw_aws_bytes(prefix);
    let suffix = bytes
        .iter()
        .take(length)
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    prefix.chars().chain(suffix).collect()
}

/// Generates a secret access key of 40 characters.
pub(crate) fn generate_secret(world: &mut SimulatedWorld) -> String {
    let bytes = world.draw_aws_bytes("secret");
    base64::engine::general_purpose::STANDARD.encode(&bytes[..30])
}

/// Generates a session token.
pub(crate) fn generate_session_token(world: &mut SimulatedWorld) -> String {
    let parts = [
        world.draw_aws_bytes("token"),
        world.draw_aws_bytes("token"),
        world.draw_aws_bytes("token"),
    ];
    format!("IQoJb3JpZ2luX2Vj{}", ids::hex(&parts.concat()))
}
