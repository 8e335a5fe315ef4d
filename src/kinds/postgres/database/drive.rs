//! The statements and the records of a database.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    ClusterRef, Database, DatabaseEdit, DatabaseFacts, DatabaseLive, DatabaseRecord, DatabaseSpec,
    RoleFacts, UrlShape,
};
use crate::{
    clouds::{
        CloudError, ErrorKind,
        fly::{PSQL, PostgresCatalog, wire},
    },
    kinds::{
        CloudWriters, Drive, World,
        fly::{app::fly_app_name, secrets::generate_password},
        postgres::{
            ManagedCluster,
            cluster::{PRIMARY, ROLE_CHECK},
            managed_cluster::{ManagedClusterLive, wait_until_ready},
            scram,
            sql::{self, Attachment},
        },
    },
    model::{Name, OwnershipMark, ResourceRef, Secret},
};

/// The length of a password: 32 letters and digits have 190 bits.
const PASSWORD_CHARS: usize = 32;
/// How long a cluster may take to wake or to boot, in seconds. It takes a few; crash recovery of a full disk takes longer.
const PRIMARY_WAIT_SECS: u64 = 180;
/// How often the checks of a node are read meanwhile.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

impl DatabaseFacts {
    /// What a cluster says of the role and of the database of a record.
    pub(crate) fn new(catalog: &PostgresCatalog, record: &DatabaseRecord) -> Self {
        let mut roles = catalog.roles.iter();
        let role = roles.find(|role| role.name == record.role).map(|role| {
            let rights = [
                ("superuser", role.superuser),
                ("create_db", role.create_db),
                ("create_role", role.create_role),
                ("replication", role.replication),
            ];
            let excess = rights.into_iter().filter(|(_, has)| *has);
            RoleFacts {
                login: role.login,
                excess: excess.map(|(right, _)| right).collect(),
                verifier_hash: role.verifier.clone(),
            }
        });
        let mut databases = catalog.databases.iter();
        let database = databases.find(|database| database.name == record.database);
        Self {
            role,
            database: database.map(|found| (found.owner.clone(), found.public_connect)),
        }
    }
}

/// Whether a machine is the primary of its cluster, as far as its checks tell.
pub(crate) fn is_primary(machine: &wire::MachineResponse) -> bool {
    let mut checks = machine.checks.iter();
    machine.state == "started"
        && checks.any(|check| {
            check.name == ROLE_CHECK && check.status == "passing" && check.output.trim() == PRIMARY
        })
}

/// The nodes of a cluster, and the one that takes writes. A cluster of one node that sleeps is started; it goes back to sleep by
/// itself.
async fn find_primary(
    clouds: &CloudWriters,
    cluster: &str,
) -> Result<(String, Vec<String>), CloudError> {
    let operation = format!("find the primary of the Postgres cluster {cluster}");
    let deadline = clouds.fly.deadline_in(PRIMARY_WAIT_SECS);
    let mut woken = false;
    loop {
        let machines = clouds.fly.list_machines(cluster).await?;
        let nodes: Vec<String> = machines.iter().map(|machine| machine.id.clone()).collect();
        if let Some(primary) = machines.iter().find(|machine| is_primary(machine)) {
            return Ok((primary.id.clone(), nodes));
        }
        match &machines[..] {
            [] => {
                let message = "it has no machine";
                return Err(CloudError::new(operation, ErrorKind::NotFound, message));
            }
            [only] if only.state == "stopped" && !woken => {
                clouds.fly.start_machine(cluster, &only.id).await?;
                woken = true;
            }
            _ => {}
        }
        if deadline.has_passed() {
            let states: Vec<String> = machines
                .iter()
                .map(|machine| format!("{} is {}", machine.id, describe_role(machine)))
                .collect();
            let message = format!(
                "no machine says `{PRIMARY}` after {PRIMARY_WAIT_SECS} seconds: {}; see `fly logs --app {cluster}`",
                states.join(", ")
            );
            return Err(CloudError::new(operation, ErrorKind::Failed, message));
        }
        clouds.fly.sleep_scaled(POLL_INTERVAL).await;
    }
}

fn describe_role(machine: &wire::MachineResponse) -> String {
    let role = machine.checks.iter().find(|check| check.name == ROLE_CHECK);
    match role {
        Some(check) => format!("{}, its role check is {}", machine.state, check.status),
        None => machine.state.clone(),
    }
}

/// Runs a script on the primary, and returns what it prints.
async fn run_script(
    clouds: &CloudWriters,
    cluster: &str,
    primary: &str,
    script: &str,
    operation: &str,
) -> Result<String, CloudError> {
    let answer = clouds
        .fly
        .run_command(cluster, primary, &PSQL, script)
        .await?;
    // What is secret in the script is known to the redaction.
    answer.psql_output(&format!("{operation} (machine {primary} of {cluster})"))
}

/// The label of a role and of a database, in its comment: who owns it.
fn label(mark: &OwnershipMark, name: &str) -> String {
    let OwnershipMark {
        project,
        environment,
    } = mark;
    json!({ "trimtab": { "project": project, "environment": environment, "name": name } })
        .to_string()
}

/// What of the same name belongs to somebody else.
fn foreign_objects(
    catalog: &PostgresCatalog,
    role: &str,
    database: &str,
    label: &str,
) -> Vec<String> {
    let is_foreign = |comment: &Option<String>| comment.as_deref() != Some(label);
    let mut roles = catalog.roles.iter();
    let foreign_role = roles.any(|found| found.name == role && is_foreign(&found.comment));
    let mut databases = catalog.databases.iter();
    let foreign_database =
        databases.any(|found| found.name == database && is_foreign(&found.comment));
    let role = foreign_role.then(|| format!("the role {role}"));
    let database = foreign_database.then(|| format!("the database {database}"));
    role.into_iter().chain(database).collect()
}

/// What the statements are run for.
struct Target<'a> {
    cluster: &'a str,
    primary: String,
    label: String,
}

impl<'a> Target<'a> {
    async fn find(
        clouds: &CloudWriters,
        cluster: &'a str,
        label: String,
    ) -> Result<(Self, Vec<String>), CloudError> {
        let (primary, nodes) = find_primary(clouds, cluster).await?;
        let target = Self {
            cluster,
            primary,
            label,
        };
        Ok((target, nodes))
    }

    /// Refuses to go on when the role or the database belongs to somebody else.
    async fn check_owner(
        &self,
        clouds: &CloudWriters,
        role: &str,
        database: &str,
        operation: &str,
        hint: &str,
    ) -> Result<(), CloudError> {
        let Self {
            cluster,
            primary,
            label,
        } = self;
        let catalog = clouds
            .fly
            .read_postgres_catalog_under_lease(cluster, primary)
            .await?;
        let foreign = foreign_objects(&catalog, role, database, label);
        if foreign.is_empty() {
            return Ok(());
        }
        let message = format!(
            "{} of {cluster} exists and bears no mark of this environment; {hint}",
            foreign.join(" and ")
        );
        Err(CloudError::new(operation, ErrorKind::Rejected, message))
    }
}

/// Makes the role and the database as they are to be, and records it.
async fn attach(
    clouds: &CloudWriters,
    name: &Name,
    spec: &DatabaseSpec,
    new_password: bool,
    recorded: Option<&DatabaseLive>,
) -> Result<DatabaseLive, CloudError> {
    let ClusterRef {
        fly_name: cluster,
        managed: _,
        app,
        nodes: _,
    } = &spec.cluster;
    let DatabaseSpec { role, database, .. } = spec;
    let operation = format!("set up the database {database} in the Postgres cluster {cluster}");
    let label = label(&spec.mark, name.as_str());
    let (target, nodes) = Target::find(clouds, cluster, label).await?;
    if !spec.adopt {
        let hint =
            format!("`--adopt postgres.database/{name}` takes it over and gives it a new password");
        target
            .check_owner(clouds, role, database, &operation, &hint)
            .await?;
    }
    let no_randomness = |_| {
        CloudError::new(
            &operation,
            ErrorKind::Rejected,
            "the system gives no random numbers",
        )
    };
    let password = match new_password {
        true => Some(generate_password(PASSWORD_CHARS)?),
        false => None,
    };
    let verifier = password.as_ref().map(scram::new_verifier);
    let verifier = verifier.transpose().map_err(no_randomness)?;
    let extensions: Vec<&str> = spec.extensions.iter().map(String::as_str).collect();
    let script = Attachment {
        role,
        database,
        verifier: verifier.as_ref(),
        label: &target.label,
        extensions: &extensions,
    }
    .script();
    let key = DatabaseRecord::key(&spec.mark, name);
    let write = async |verifier_hash: &str| {
        let record = DatabaseRecord::new(name, spec, verifier_hash);
        let value = serde_json::to_string(&record).unwrap_or_default();
        write_record(clouds, cluster, &nodes, &key, value).await?;
        Ok::<_, CloudError>(record)
    };
    // A run that dies between the statements and the record would leave the earlier password recorded. So the record says first
    // that the password is not known, and the next run makes another.
    if verifier.is_some() {
        write("").await?;
    }
    run_script(clouds, cluster, &target.primary, &script, &operation).await?;
    let record = match (&verifier, recorded) {
        (Some(verifier), _) => write(&hash(verifier)).await?,
        (None, Some(live)) => write(&live.verifier_hash).await?,
        (None, None) => write("").await?,
    };
    let mut live = DatabaseLive::new(name, cluster, app.clone(), record);
    live.url = password.map(|password| spec.url.url(role, &password, database));
    Ok(live)
}

/// Makes the user and the database in a managed cluster, and reads the password.
async fn attach_managed(
    clouds: &CloudWriters,
    name: &Name,
    spec: &DatabaseSpec,
    cluster: &ResourceRef<ManagedCluster>,
    rotate: bool,
    world: &World,
) -> Result<DatabaseLive, CloudError> {
    let DatabaseSpec {
        role,
        database,
        url,
        ..
    } = spec;
    let known = world
        .postgres_managed_cluster
        .get(cluster.name())
        .ok_or_else(|| {
            let operation = format!("look up {}", cluster.address());
            CloudError::new(operation, ErrorKind::NotFound, "it does not exist yet")
        })?;
    let id = known.id.as_str();
    let ready = wait_until_ready(clouds, id).await?;
    clouds.fly.create_managed_user(id, role).await?;
    clouds.fly.create_managed_database(id, database).await?;
    for extension in &spec.extensions {
        clouds
            .fly
            .create_managed_extension(id, database, extension)
            .await?;
    }
    if rotate {
        clouds.fly.rotate_managed_password(id, role).await?;
    }
    let password = clouds.fly.read_managed_password(id, role).await?;
    let live = ManagedClusterLive::from_wire(ready, Vec::new(), Vec::new());
    let host = if url.pooled { live.pooler } else { live.direct };
    let host = host.ok_or_else(|| {
        let operation = format!("look up the address of {}", cluster.address());
        CloudError::new(operation, ErrorKind::InvalidResponse, "it has none")
    })?;
    // Only a relation that Fly shows; the secret is what counts.
    let app = fly_app_name(world, &spec.app)?;
    if let Err(error) = clouds.fly.attach_managed_cluster(id, app).await {
        tracing::warn!(%error, "the attachment could not be noted");
    }
    let record = DatabaseRecord::new(name, spec, &spec.managed_fingerprint(id));
    let mut live = DatabaseLive::new(name, &spec.cluster.fly_name, None, record);
    let url = UrlShape {
        host,
        ..url.clone()
    };
    live.url = Some(url.url(role, &password, database));
    Ok(live)
}

/// The SHA-256 of a verifier, as the server computes it when it is observed.
fn hash(verifier: &Secret) -> String {
    let hash = Sha256::digest(verifier.expose());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a record to all nodes, so that the loss of one does not lose it. An empty value removes it.
async fn write_record(
    clouds: &CloudWriters,
    cluster: &str,
    nodes: &[String],
    key: &str,
    value: String,
) -> Result<(), CloudError> {
    let entry = BTreeMap::from([(key.to_owned(), value)]);
    for node in nodes {
        clouds.fly.set_metadata(cluster, node, &entry).await?;
    }
    Ok(())
}

impl Drive for Database {
    async fn create(
        clouds: &CloudWriters,
        name: &Name,
        spec: &DatabaseSpec,
        world: &World,
    ) -> Result<DatabaseLive, CloudError> {
        if let Some(cluster) = &spec.cluster.managed {
            return attach_managed(clouds, name, spec, cluster, false, world).await;
        }
        attach(clouds, name, spec, true, None).await
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &DatabaseLive,
        edit: &DatabaseEdit,
        world: &World,
    ) -> Result<DatabaseLive, CloudError> {
        let DatabaseEdit {
            spec,
            new_password,
            rotate,
            ..
        } = edit;
        let name = live.name()?;
        if let Some(cluster) = &spec.cluster.managed {
            return attach_managed(clouds, &name, spec, cluster, *rotate, world).await;
        }
        attach(clouds, &name, spec, *new_password, Some(live)).await
    }

    /// Drops the database and its role, which bear our mark. A cluster that is gone has taken them along.
    async fn delete(
        clouds: &CloudWriters,
        live: &DatabaseLive,
        _: &World,
    ) -> Result<(), CloudError> {
        let DatabaseRecord {
            project,
            environment,
            role,
            database,
            ..
        } = &live.record;
        let cluster = live.cluster.as_str();
        let operation = format!("drop the database {database} of the Postgres cluster {cluster}");
        let mark = OwnershipMark {
            project: project.clone(),
            environment: environment.clone(),
        };
        let name = live.name()?;
        let label = label(&mark, name.as_str());
        let (target, nodes) = match Target::find(clouds, cluster, label).await {
            Err(error) if error.is_not_found() => return Ok(()),
            found => found?,
        };
        target
            .check_owner(clouds, role, database, &operation, "it is not dropped")
            .await?;
        let script = sql::removal_script(role, database);
        run_script(clouds, cluster, &target.primary, &script, &operation).await?;
        write_record(
            clouds,
            cluster,
            &nodes,
            &DatabaseRecord::key(&mark, &name),
            String::new(),
        )
        .await
    }
}

impl DatabaseLive {
    fn name(&self) -> Result<Name, CloudError> {
        Name::parse(&self.record.name).map_err(|error| {
            CloudError::new(
                "read the record of a database",
                ErrorKind::InvalidResponse,
                error.to_string(),
            )
        })
    }
}
