//! Lowers one app of the manifest to its resources.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    build, cron,
    deploy::{self, DeploySettings},
    machine_parts::MachineParts,
    machines, network,
    process_groups::ProcessGroups,
    secret_sources::SecretReader,
    secrets,
};
use crate::manifest::lower::{self, Context, Diagnostics, Lowered, aws::AppAwsBindings};
use crate::{
    kinds::{
        EnvironmentMeta,
        fly::{
            App, Secrets,
            app::AppSpec,
            secrets::SecretSpec,
            workload::{MachineConfig, Workload},
        },
        postgres,
    },
    manifest::{
        schema::{self, ImageSource},
        syntax::cursor::Cursor,
    },
    model::{Address, Image, KindName, Name, OwnershipMark, ParseImageError, Region, ResourceRef},
};

/// The input of lowering one app.
pub(crate) struct AppContext<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) key: &'a str,
    pub(crate) app: &'a schema::AppSection,
    pub(crate) cursor: Cursor<'a>,
    pub(crate) name: Name,
    pub(crate) image: Option<Image>,
    /// Whether the app is a Postgres cluster.
    pub(crate) is_postgres: bool,
    aws: &'a AppAwsBindings,
    pub(crate) mark: OwnershipMark,
    org: String,
}

impl<'a> AppContext<'a> {
    /// Prepares an app; `None` when its key is not a valid name.
    pub(crate) fn new(
        context: &'a Context<'a>,
        key: &'a str,
        app: &'a schema::AppSection,
        cursor: Cursor<'a>,
        meta: &EnvironmentMeta,
        aws: &'a AppAwsBindings,
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let name = Name::parse(key).ok()?;
        let image = resolve_image(context, key, app, cursor.key("image"), diagnostics);
        Some(Self {
            context,
            key,
            app,
            cursor,
            name,
            image,
            is_postgres: context.postgres.contains_key(key),
            aws,
            mark: meta.mark.clone(),
            org: meta.org.clone(),
        })
    }

    /// Adds all resources of the app.
    pub(crate) fn lower(
        &self,
        lowered: &mut Lowered,
        secret_reader: &mut SecretReader<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let Self { app, cursor, .. } = *self;
        let groups = ProcessGroups::from_app(app, cursor, diagnostics);
        let parts = MachineParts::lower(self, &groups, diagnostics);
        let deploy = DeploySettings::lower(app, &parts.mounts, cursor, diagnostics);
        let spec = AppSpec {
            name: self
                .context
                .app_names
                .get(self.key)
                .cloned()
                .unwrap_or_default(),
            org: self.org.clone(),
            network: app.network.clone(),
            role: self.is_postgres.then_some(postgres::cluster::APP_ROLE),
            mark: self.mark.clone(),
            protected: app.protected.unwrap_or_default(),
            ips_stated: app.ips.is_some(),
            verify: deploy.verify.clone(),
        };
        lowered.desired.fly_app.insert(self.name.clone(), spec);
        self.record_location::<App>(&self.name, cursor, lowered);
        if app.image.is_some() && !self.context.inputs.images.contains_key(self.key) {
            self.record_image_location(&self.name, cursor, lowered);
        }
        if app.adopt == Some(true) {
            lowered
                .desired
                .meta
                .adopt
                .insert(Address::new::<App>(&self.name));
        }
        if deploy.rolls_back {
            lowered
                .desired
                .meta
                .rollback_on_failure
                .insert(self.name.clone());
        }
        network::lower_ips(self, &parts.services, lowered, diagnostics);
        if deploy
            .verify
            .as_ref()
            .is_some_and(|verify| verify.host.is_none())
        {
            network::check_public_address(self, &parts.services, lowered, diagnostics);
        }
        network::lower_certificates(self, lowered, diagnostics);
        lower::postgres::lower_databases(self, lowered, diagnostics);
        build::lower_build(self, lowered, secret_reader, diagnostics);
        secrets::lower_secrets(self, lowered, secret_reader, diagnostics);
        deploy::lower_release_command(
            self,
            &groups,
            &parts,
            deploy.wait_secs,
            lowered,
            diagnostics,
        );
        machines::lower_machines(self, &groups, &parts, &deploy, lowered, diagnostics);
        cron::lower_crons(self, &parts.env, deploy.wait_secs, lowered, diagnostics);
    }

    /// A reference to the app resource.
    pub(crate) fn app_ref(&self) -> ResourceRef<App> {
        ResourceRef::new(self.name.clone())
    }

    /// The name of a resource within the app; `None`, with an error, when a part is not valid in a
    /// name.
    pub(crate) fn child_name(
        &self,
        parts: &[&str],
        cursor: Cursor<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Name> {
        let name = parts
            .iter()
            .try_fold(self.name.clone(), |name, part| name.child(part));
        name.map_err(|error| diagnostics.error(cursor.diagnostic(error.to_string())))
            .ok()
    }

    /// Records where the manifest defines a resource.
    pub(crate) fn record_location<K: KindName>(
        &self,
        name: &Name,
        cursor: Cursor<'_>,
        lowered: &mut Lowered,
    ) {
        if let Some(location) = cursor.location() {
            lowered
                .locations
                .insert(Address::new::<K>(name), location.clone());
        }
    }

    /// Records where the manifest sets the image of an app or a cron machine.
    pub(crate) fn record_image_location(
        &self,
        name: &Name,
        cursor: Cursor<'_>,
        lowered: &mut Lowered,
    ) {
        if let Some(location) = cursor.key("image").location() {
            lowered
                .image_locations
                .insert(name.clone(), location.clone());
        }
    }

    /// A machine of the app, to be adapted by the caller.
    pub(crate) fn build_workload(
        &self,
        name: &Name,
        region: Region,
        config: MachineConfig,
        wait_secs: u64,
    ) -> Workload {
        let secrets = self
            .has_secrets()
            .then(|| ResourceRef::<Secrets>::new(self.name.clone()));
        Workload {
            app: self.app_ref(),
            region,
            config,
            guest_stated: true,
            secrets,
            needs: self.dependencies(),
            labels: BTreeMap::from([(OwnershipMark::NAME_KEY.to_owned(), name.to_string())]),
            mark: self.mark.clone(),
            wait_secs,
            standby_for: None,
            release: None,
        }
    }

    /// The apps that this app's strings refer to, and the AWS resources that it uses.
    fn dependencies(&self) -> BTreeSet<Address> {
        let mentioned = self
            .context
            .used_references
            .apps
            .get(self.key)
            .into_iter()
            .flatten();
        let apps = mentioned
            .filter(|other| *other != self.key)
            .filter_map(|other| Some(Address::new::<App>(&Name::parse(other).ok()?)));
        let named = self
            .context
            .used_references
            .aws
            .get(&format!("apps.{}", self.key))
            .into_iter()
            .flatten();
        apps.chain(
            named
                .chain(self.aws.needs.get(self.key).into_iter().flatten())
                .cloned(),
        )
        .collect()
    }

    /// Whether the app has secrets, of the manifest or made by trimtab.
    pub(crate) fn has_secrets(&self) -> bool {
        let schema::AppSection {
            secrets, databases, ..
        } = self.app;
        !secrets.is_empty() || !databases.is_empty() || self.is_postgres
    }

    /// The secrets that the manifest does not list: those of a Postgres cluster, and the URLs of databases.
    pub(crate) fn generated_secrets(&self) -> Vec<(String, SecretSpec)> {
        let mut secrets = Vec::new();
        if self.is_postgres {
            secrets.extend(lower::postgres::cluster_secrets());
        }
        secrets.extend(lower::postgres::database_secrets(self));
        secrets
    }

    /// The variables that its identity on AWS brings.
    pub(crate) fn identity_env(&self) -> impl Iterator<Item = (&String, &String)> {
        self.aws.env.get(self.key).into_iter().flatten()
    }
}

/// The image: `--image`, or else what the manifest says.
fn resolve_image(
    context: &Context<'_>,
    key: &str,
    app: &schema::AppSection,
    cursor: Cursor<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Image> {
    let image_override = context.inputs.images.get(key).cloned();
    let stated = || match app.image.as_ref()? {
        ImageSource::Reference(reference) => Some(reference.clone()),
        ImageSource::Variable(variable) => context.vars.get(variable.var.as_ref()?).cloned(),
    };
    let cursor = if image_override.is_some() {
        Cursor::without_location()
    } else {
        cursor
    };
    let reference = image_override.or_else(stated)?;
    check_image(&reference, cursor, diagnostics);
    Some(Image::new(reference))
}

/// Reports a text that is not an image reference.
pub(crate) fn check_image(reference: &str, cursor: Cursor<'_>, diagnostics: &mut Diagnostics) {
    if reference.is_empty() {
        let diagnostic = cursor.diagnostic("the image is empty");
        diagnostics.error(diagnostic.with_help("leave it out to keep the image that runs"));
        return;
    }
    if let Err(reason) = Image::parse(reference) {
        let diagnostic =
            cursor.diagnostic(format!("`{reference}` is not an image reference: {reason}"));
        diagnostics.error(diagnostic.with_help(match reason {
            ParseImageError::SlashInTag => "replace the slashes of the tag, as in `app:feature-x`",
            _ => "write it as `registry.fly.io/app:tag` or `name@sha256:…`",
        }));
    }
}
