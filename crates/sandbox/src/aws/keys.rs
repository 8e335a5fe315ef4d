//! Access keys, which the owner of the sandbox may ask for: AWS itself would first want a person at a console.

use base64::Engine as _;
use serde_json::Value;

use super::iam::User;
use super::policy;
use super::who::Key;
use crate::ids;
use crate::world::World;

/// The user that administrators' keys belong to.
const ADMINISTRATOR: &str = "administrator";

/// An access key of the imitated AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKeys {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
}

/// Whether this is a name that an account can have.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The administrator's key of an account, made if it is missing.
pub(crate) fn administrator(world: &mut World, account: &str) -> AwsKeys {
    let own = |key: &&Key| key.account == account && key.user == ADMINISTRATOR;
    if let Some((id, key)) = world.aws.root.keys.iter().find(|(_, key)| own(key)) {
        return AwsKeys {
            id: id.clone(),
            secret: key.secret.clone(),
        };
    }
    let user = User {
        attached: [policy::ADMINISTRATOR_ACCESS.to_owned()].into(),
        ..user(world)
    };
    world
        .aws
        .account(account)
        .users
        .insert(ADMINISTRATOR.to_owned(), user);
    mint(world, account, ADMINISTRATOR)
}

/// The key of a new user who may do what a policy says.
///
/// # Errors
/// What is wrong with the policy.
pub(crate) fn limited(world: &mut World, account: &str, policy: &Value) -> Result<AwsKeys, String> {
    let text = policy.to_string();
    policy::identity(&text)?;
    let user = User {
        inline: [("limits".to_owned(), text)].into(),
        ..user(world)
    };
    let name = format!("user-{}", &user.id[user.id.len() - 8..]);
    world.aws.account(account).users.insert(name.clone(), user);
    Ok(mint(world, account, &name))
}

fn user(world: &mut World) -> User {
    User {
        id: unique(world, "AIDA"),
        ..User::default()
    }
}

fn mint(world: &mut World, account: &str, user: &str) -> AwsKeys {
    let id = unique(world, "AKIA");
    let secret = secret(world);
    let key = Key {
        secret: secret.clone(),
        account: account.to_owned(),
        user: user.to_owned(),
    };
    world.aws.root.keys.insert(id.clone(), key);
    AwsKeys { id, secret }
}

/// An identifier by whose first letters AWS tells kinds of things apart: keys have 20 characters, all others 21.
pub(crate) fn unique(world: &mut World, prefix: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let length = if matches!(prefix, "AKIA" | "ASIA") {
        16
    } else {
        17
    };
    let draw = world.draw_aws(prefix);
    let tail = draw
        .iter()
        .take(length)
        .map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    prefix.chars().chain(tail).collect()
}

/// Forty characters.
pub(crate) fn secret(world: &mut World) -> String {
    let draw = world.draw_aws("secret");
    base64::engine::general_purpose::STANDARD.encode(&draw[..30])
}

/// What a session proves itself with besides its key.
pub(crate) fn token(world: &mut World) -> String {
    let draws = [
        world.draw_aws("token"),
        world.draw_aws("token"),
        world.draw_aws("token"),
    ];
    format!("IQoJb3JpZ2luX2Vj{}", ids::hex(&draws.concat()))
}
