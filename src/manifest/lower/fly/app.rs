//! One app of the manifest to its resources.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cron,
    deploy::{self, DeploySettings},
    machine_parts::MachineParts,
    machines, network,
    process_groups::ProcessGroups,
    secret_sources::SecretReader,
    secrets,
};
use crate::manifest::lower::{Context, Diagnostics, Lowered, aws::AppAwsBindings};
use crate::{
    kinds::{
        EnvironmentMeta,
        fly::{
            App, Secrets,
            app::AppSpec,
            workload::{MachineConfig, Workload},
        },
    },
    manifest::{
        schema::{self, ImageSource},
        syntax::cursor::Cursor,
    },
    model::{Address, Image, KindName, Name, OwnershipMark, Region, ResourceRef},
};

/// What lowering one app looks at.
pub(crate) struct AppContext<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) key: &'a str,
    pub(crate) app: &'a schema::AppSection,
    pub(crate) cursor: Cursor<'a>,
    pub(crate) name: Name,
    pub(crate) image: Option<Image>,
    aws: &'a AppAwsBindings,
    mark: OwnershipMark,
    org: String,
}

impl<'a> AppContext<'a> {
    /// Looks at an app; `None` when its key is no name.
    pub(crate) fn new(
        scene: &'a Context<'a>,
        key: &'a str,
        app: &'a schema::AppSection,
        at: Cursor<'a>,
        meta: &EnvironmentMeta,
        aws: &'a AppAwsBindings,
        sink: &mut Diagnostics,
    ) -> Option<Self> {
        let name = Name::parse(key).ok()?;
        let image = resolve_image(scene, key, app, at.key("image"), sink);
        Some(Self {
            context: scene,
            key,
            app,
            cursor: at,
            name,
            image,
            aws,
            mark: meta.mark.clone(),
            org: meta.org.clone(),
        })
    }

    /// Makes everything that the app asks for.
    pub(crate) fn lower(
        &self,
        out: &mut Lowered,
        found: &mut SecretReader<'_>,
        sink: &mut Diagnostics,
    ) {
        let Self {
            app, cursor: at, ..
        } = *self;
        let groups = ProcessGroups::from_app(app, at, sink);
        let parts = MachineParts::lower(self, &groups, sink);
        let deploy = DeploySettings::lower(app, &parts.mounts, at, sink);
        let spec = AppSpec {
            name: self
                .context
                .app_names
                .get(self.key)
                .cloned()
                .unwrap_or_default(),
            org: self.org.clone(),
            network: app.network.clone(),
            mark: self.mark.clone(),
            protected: app.protected.unwrap_or_default(),
            verify: deploy.verify.clone(),
        };
        out.desired.fly_app.insert(self.name.clone(), spec);
        self.record_location::<App>(&self.name, at, out);
        if app.image.is_some() && !self.context.inputs.images.contains_key(self.key) {
            self.record_image_location(&self.name, at, out);
        }
        if app.adopt == Some(true) {
            out.desired
                .meta
                .adopt
                .insert(Address::new::<App>(&self.name));
        }
        if deploy.rolls_back {
            out.desired
                .meta
                .rollback_on_failure
                .insert(self.name.clone());
        }
        network::lower_ips(self, &parts.services, out, sink);
        network::lower_certificates(self, out, sink);
        secrets::lower_secrets(self, out, found, sink);
        deploy::lower_release_command(self, &groups, &parts, deploy.wait_secs, out, sink);
        machines::lower_machines(self, &groups, &parts, &deploy, out, sink);
        cron::lower_crons(self, &parts.env, deploy.wait_secs, out, sink);
    }

    /// A reference to the app.
    pub(crate) fn app_ref(&self) -> ResourceRef<App> {
        ResourceRef::new(self.name.clone())
    }

    /// A name within the app; `None`, with a problem, when a part cannot be in a name.
    pub(crate) fn child_name(
        &self,
        parts: &[&str],
        at: Cursor<'_>,
        sink: &mut Diagnostics,
    ) -> Option<Name> {
        let name = parts
            .iter()
            .try_fold(self.name.clone(), |name, part| name.child(part));
        name.map_err(|error| sink.error(at.diagnostic(error.to_string())))
            .ok()
    }

    /// Remembers which place made a resource.
    pub(crate) fn record_location<K: KindName>(
        &self,
        name: &Name,
        at: Cursor<'_>,
        out: &mut Lowered,
    ) {
        if let Some(place) = at.location() {
            out.locations.insert(Address::new::<K>(name), place.clone());
        }
    }

    /// Remembers where an app or a cron machine names its image.
    pub(crate) fn record_image_location(&self, name: &Name, at: Cursor<'_>, out: &mut Lowered) {
        if let Some(place) = at.key("image").location() {
            out.image_locations.insert(name.clone(), place.clone());
        }
    }

    /// A machine of the app.
    pub(crate) fn build_workload(
        &self,
        name: &Name,
        region: Region,
        config: MachineConfig,
        wait_secs: u64,
    ) -> Workload {
        let secrets =
            (!self.app.secrets.is_empty()).then(|| ResourceRef::<Secrets>::new(self.name.clone()));
        Workload {
            app: self.app_ref(),
            region,
            config,
            secrets,
            needs: self.dependencies(),
            labels: BTreeMap::from([(OwnershipMark::NAME_KEY.to_owned(), name.to_string())]),
            mark: self.mark.clone(),
            wait_secs,
            standby_for: None,
            release: None,
        }
    }

    /// The apps whose names stand in this app's texts, and what of AWS it uses.
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

    /// The variables that its identity on AWS brings.
    pub(crate) fn identity_env(&self) -> impl Iterator<Item = (&String, &String)> {
        self.aws.env.get(self.key).into_iter().flatten()
    }
}

/// The image: `--image`, else what the manifest says.
fn resolve_image(
    scene: &Context<'_>,
    key: &str,
    app: &schema::AppSection,
    at: Cursor<'_>,
    sink: &mut Diagnostics,
) -> Option<Image> {
    let given = scene.inputs.images.get(key).cloned();
    let stated = || match app.image.as_ref()? {
        ImageSource::Reference(reference) => Some(reference.clone()),
        ImageSource::Variable(variable) => scene.vars.get(variable.var.as_ref()?).cloned(),
    };
    let at = if given.is_some() {
        Cursor::without_location()
    } else {
        at
    };
    let reference = given.or_else(stated)?;
    check_image(&reference, at, sink);
    Some(Image::new(reference))
}

/// What cannot be an image reference at all.
pub(crate) fn check_image(reference: &str, at: Cursor<'_>, sink: &mut Diagnostics) {
    if reference.is_empty() {
        let problem = at.diagnostic("the image is empty");
        sink.error(problem.with_help("leave it out to keep the image that runs"));
        return;
    }
    if let Err(why) = Image::parse(reference) {
        let problem = at.diagnostic(format!("`{reference}` is not an image reference: {why}"));
        sink.error(problem.with_help("write it as `registry.fly.io/app:tag` or `name@sha256:…`"));
    }
}
