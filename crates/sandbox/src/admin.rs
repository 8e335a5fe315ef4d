//! `/_sandbox`: what a test or a person tells the imitation itself. Loopback only, no token.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::aws;
use super::behaviour::Rule;
use super::faults::{Fault, HELP};
use super::server::Core;

/// Answers a request to `/_sandbox/…`.
///
/// # Errors
/// `404` for what is not there, `400` for a body that says nothing sensible.
pub(crate) fn answer(core: &mut Core, method: &str, path: &str, body: &Value) -> Reply {
    match (method, path) {
        ("GET", "state") => Ok(Answer::ok(core.state())),
        ("GET", "requests") => Ok(Answer::ok(json!(core.requests))),
        ("GET", "clock") => Ok(clock(core)),
        ("POST", "clock") => advance(core, body),
        ("GET", "faults") => Ok(faults(core)),
        ("POST", "faults") => add_faults(core, body),
        ("DELETE", "faults") => {
            core.faults.list.clear();
            Ok(faults(core))
        }
        ("POST", "release") => {
            core.gate.release();
            Ok(faults(core))
        }
        ("GET", "rules") => Ok(Answer::ok(json!(core.world.root.rules))),
        ("POST", "rules") => add_rules(core, body),
        ("DELETE", "rules") => {
            core.world.root.rules.clear();
            core.world.root_dirty = true;
            Ok(Answer::ok(json!([])))
        }
        ("GET", "images") => Ok(Answer::ok(json!(core.world.root.images))),
        ("POST", "images") => images(core, body),
        ("DELETE", "images") => {
            core.world.root.images.clear();
            core.world.root_dirty = true;
            Ok(Answer::ok(json!({})))
        }
        ("POST", "tokens") => token(core, body),
        ("POST", "hosts") => hosts(core, body),
        ("POST", "aws/keys") => aws_keys(core, body),
        ("POST", "oidc") => aws::machine_token(&mut core.world, body),
        ("POST", "github") => aws::begin(&mut core.world, &core.url, body),
        ("GET", path) if path.starts_with("oidc/") => {
            aws::discovery(&mut core.world, path.trim_start_matches("oidc/"))
        }
        _ => Err(Refusal::not_found("endpoint")),
    }
}

fn clock(core: &Core) -> Answer {
    Answer::ok(json!({ "now": super::clock::millis(core.world.now), "now_ms": core.world.now }))
}

fn read<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, Refusal> {
    serde_json::from_value(body.clone()).map_err(|error| Refusal::invalid(error.to_string()))
}

fn advance(core: &mut Core, body: &Value) -> Reply {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Advance {
        advance_ms: i64,
    }
    let Advance { advance_ms } = read(body)?;
    if advance_ms < 0 {
        return Err(Refusal::invalid("time does not go back"));
    }
    core.clock.advance(advance_ms);
    core.catch_up();
    core.world.root_dirty = true;
    Ok(clock(core))
}

fn faults(core: &Core) -> Answer {
    let list: Vec<String> = core.faults.list.iter().map(ToString::to_string).collect();
    let help: Vec<Value> = HELP
        .iter()
        .map(|(name, does)| json!({ "fault": name, "does": does }))
        .collect();
    Answer::ok(json!({ "faults": list, "help": help }))
}

fn add_faults(core: &mut Core, body: &Value) -> Reply {
    let texts: Vec<String> = read(body)?;
    let parse = |text: &String| {
        text.parse::<Fault>()
            .map_err(|error| Refusal::invalid(error.to_string()))
    };
    let list = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    core.faults.list.extend(list);
    Ok(faults(core))
}

/// New rules come before old ones, because the first that matches decides.
fn add_rules(core: &mut Core, body: &Value) -> Reply {
    let mut rules: Vec<Rule> = if body.is_array() {
        read(body)?
    } else {
        vec![read(body)?]
    };
    rules.append(&mut core.world.root.rules);
    core.world.root.rules = rules;
    core.world.root_dirty = true;
    Ok(Answer::ok(json!(core.world.root.rules)))
}

/// One image, or a list of them.
fn images(core: &mut Core, body: &Value) -> Reply {
    let one = std::slice::from_ref(body);
    for said in body.as_array().map_or(one, Vec::as_slice) {
        super::images::say(&mut core.world.root.images, said)?;
    }
    core.world.root_dirty = true;
    Ok(Answer::ok(json!(core.world.root.images)))
}

/// An access key of an account: its administrator's, or a new user's who may do what a policy says.
fn aws_keys(core: &mut Core, body: &Value) -> Reply {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        account: String,
        policy: Option<Value>,
    }
    let Wanted { account, policy } = read(body)?;
    if !aws::is_account(&account) {
        return Err(Refusal::invalid("account must have twelve digits"));
    }
    let keys = match policy {
        Some(policy) => {
            aws::limited(&mut core.world, &account, &policy).map_err(Refusal::invalid)?
        }
        None => aws::administrator(&mut core.world, &account),
    };
    Ok(Answer::ok(
        json!({ "access_key_id": keys.id, "secret_access_key": keys.secret }),
    ))
}

/// The token for everything in an organisation, which is made if it is missing.
fn token(core: &mut Core, body: &Value) -> Reply {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        org: String,
    }
    let Wanted { org } = read(body)?;
    let token = super::running::token(&mut core.world, &org, |org| super::access::Grant::Org {
        org,
    });
    Ok(Answer::ok(json!({ "token": token })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Hosts {
    app: Option<String>,
    machine: Option<String>,
    volume: Option<String>,
    region: Option<String>,
    /// `ok`, `unknown` or `unreachable`.
    status: Option<String>,
    /// Lists over an organisation report this region as unanswered.
    error: Option<bool>,
    /// The region takes no more machines or volumes.
    full: Option<bool>,
}

fn hosts(core: &mut Core, body: &Value) -> Reply {
    let request: Hosts = read(body)?;
    let world = &mut core.world;
    if let Some(region) = &request.region {
        world.root_dirty = true;
        toggle(&mut world.root.error_regions, region, request.error);
        toggle(&mut world.root.full_regions, region, request.full);
    }
    let Some(status) = &request.status else {
        return Ok(Answer::done());
    };
    if !matches!(status.as_str(), "ok" | "unknown" | "unreachable") {
        return Err(Refusal::invalid(
            "status must be ok, unknown or unreachable",
        ));
    }
    let is = |want: &Option<String>, have: &str| want.as_deref().is_none_or(|want| want == have);
    for app in world
        .apps
        .values_mut()
        .filter(|app| is(&request.app, &app.name))
    {
        for machine in app
            .machines
            .values_mut()
            .filter(|_| request.volume.is_none())
        {
            if is(&request.machine, &machine.id) && is(&request.region, &machine.region) {
                machine.host_status.clone_from(status);
            }
        }
        for volume in app
            .volumes
            .values_mut()
            .filter(|_| request.machine.is_none())
        {
            if is(&request.volume, &volume.id) && is(&request.region, &volume.region) {
                volume.host_status.clone_from(status);
            }
        }
        world.dirty.insert(app.name.clone());
    }
    Ok(Answer::done())
}

fn toggle(set: &mut std::collections::BTreeSet<String>, region: &str, on: Option<bool>) {
    match on {
        Some(true) => drop(set.insert(region.to_owned())),
        Some(false) => drop(set.remove(region)),
        None => {}
    }
}
