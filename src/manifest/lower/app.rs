//! One app of the manifest to its resources.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Lowered, Scene, Sink,
    aws::ForApps,
    cron,
    deploy::{self, Deployment},
    groups::Groups,
    machines, network,
    parts::Parts,
    secrets,
    sources::Found,
};
use crate::{
    kinds::{
        Meta,
        fly::{
            App, Secrets,
            app::AppSpec,
            workload::{MachineConfig, Workload},
        },
    },
    manifest::{shape, shape::ImageSource, spot::Spot},
    model::{Address, Image, Mark, Name, Named, Ref, Region},
};

/// What lowering one app looks at.
pub(super) struct AppScene<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) key: &'a str,
    pub(super) app: &'a shape::App,
    pub(super) at: Spot<'a>,
    pub(super) name: Name,
    pub(super) image: Option<Image>,
    aws: &'a ForApps,
    mark: Mark,
    org: String,
}

impl<'a> AppScene<'a> {
    /// Looks at an app; `None` when its key is no name.
    pub(super) fn new(
        scene: &'a Scene<'a>,
        key: &'a str,
        app: &'a shape::App,
        at: Spot<'a>,
        meta: &Meta,
        aws: &'a ForApps,
        sink: &mut Sink,
    ) -> Option<Self> {
        let name = Name::parse(key).ok()?;
        let image = image(scene, key, app, at.key("image"), sink);
        Some(Self {
            scene,
            key,
            app,
            at,
            name,
            image,
            aws,
            mark: meta.mark.clone(),
            org: meta.org.clone(),
        })
    }

    /// Makes everything that the app asks for.
    pub(super) fn lower(&self, out: &mut Lowered, found: &mut Found<'_>, sink: &mut Sink) {
        let Self { app, at, .. } = *self;
        let groups = Groups::of(app, at, sink);
        let parts = Parts::of(self, &groups, sink);
        let deploy = Deployment::of(app, &parts.mounts, at, sink);
        let spec = AppSpec {
            name: self.scene.names.get(self.key).cloned().unwrap_or_default(),
            org: self.org.clone(),
            network: app.network.clone(),
            mark: self.mark.clone(),
            protected: app.protected.unwrap_or_default(),
            verify: deploy.verify.clone(),
        };
        out.desired.fly_app.insert(self.name.clone(), spec);
        self.place::<App>(&self.name, at, out);
        if app.image.is_some() && !self.scene.inputs.images.contains_key(self.key) {
            self.place_image(&self.name, at, out);
        }
        if app.adopt == Some(true) {
            out.desired
                .meta
                .adopt
                .insert(Address::of::<App>(&self.name));
        }
        if deploy.rolls_back {
            out.desired.meta.rolls_back.insert(self.name.clone());
        }
        network::addresses(self, &parts.services, out, sink);
        network::certificates(self, out, sink);
        secrets::secrets(self, out, found, sink);
        deploy::release(self, &groups, &parts, deploy.wait_secs, out, sink);
        machines::machines(self, &groups, &parts, &deploy, out, sink);
        cron::crons(self, &parts.env, deploy.wait_secs, out, sink);
    }

    /// A reference to the app.
    pub(super) fn reference(&self) -> Ref<App> {
        Ref::to(self.name.clone())
    }

    /// A name within the app; `None`, with a problem, when a part cannot be in a name.
    pub(super) fn child(&self, parts: &[&str], at: Spot<'_>, sink: &mut Sink) -> Option<Name> {
        let name = parts
            .iter()
            .try_fold(self.name.clone(), |name, part| name.child(part));
        name.map_err(|error| sink.error(at.problem(error.to_string())))
            .ok()
    }

    /// Remembers which place made a resource.
    pub(super) fn place<K: Named>(&self, name: &Name, at: Spot<'_>, out: &mut Lowered) {
        if let Some(place) = at.place() {
            out.places.insert(Address::of::<K>(name), place.clone());
        }
    }

    /// Remembers where an app or a cron machine names its image.
    pub(super) fn place_image(&self, name: &Name, at: Spot<'_>, out: &mut Lowered) {
        if let Some(place) = at.key("image").place() {
            out.images.insert(name.clone(), place.clone());
        }
    }

    /// A machine of the app.
    pub(super) fn workload(
        &self,
        name: &Name,
        region: Region,
        config: MachineConfig,
        wait_secs: u64,
    ) -> Workload {
        let secrets = (!self.app.secrets.is_empty()).then(|| Ref::<Secrets>::to(self.name.clone()));
        Workload {
            app: self.reference(),
            region,
            config,
            secrets,
            needs: self.mentions(),
            labels: BTreeMap::from([(Mark::NAME.to_owned(), name.to_string())]),
            mark: self.mark.clone(),
            wait_secs,
            standby_for: None,
            release: None,
        }
    }

    /// The apps whose names stand in this app's texts, and what of AWS it uses.
    fn mentions(&self) -> BTreeSet<Address> {
        let mentioned = self.scene.mentions.apps.get(self.key).into_iter().flatten();
        let apps = mentioned
            .filter(|other| *other != self.key)
            .filter_map(|other| Some(Address::of::<App>(&Name::parse(other).ok()?)));
        let named = self
            .scene
            .mentions
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
    pub(super) fn identity_env(&self) -> impl Iterator<Item = (&String, &String)> {
        self.aws.env.get(self.key).into_iter().flatten()
    }
}

/// The image: `--image`, else what the manifest says.
fn image(
    scene: &Scene<'_>,
    key: &str,
    app: &shape::App,
    at: Spot<'_>,
    sink: &mut Sink,
) -> Option<Image> {
    let given = scene.inputs.images.get(key).cloned();
    let stated = || match app.image.as_ref()? {
        ImageSource::Reference(reference) => Some(reference.clone()),
        ImageSource::Variable(variable) => scene.vars.get(variable.var.as_ref()?).cloned(),
    };
    let at = if given.is_some() { Spot::nowhere() } else { at };
    let reference = given.or_else(stated)?;
    check_image(&reference, at, sink);
    Some(Image::new(reference))
}

/// What cannot be an image reference at all.
pub(super) fn check_image(reference: &str, at: Spot<'_>, sink: &mut Sink) {
    if reference.is_empty() {
        let problem = at.problem("the image is empty");
        sink.error(problem.help("leave it out to keep the image that runs"));
        return;
    }
    if let Err(why) = Image::parse(reference) {
        let problem = at.problem(format!("`{reference}` is not an image reference: {why}"));
        sink.error(problem.help("write it as `registry.fly.io/app:tag` or `name@sha256:…`"));
    }
}
