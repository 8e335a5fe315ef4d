//! Which images the manifest means now: every tag is looked up in its registry before a plan is made, so that what is
//! reviewed is what runs, and an image that is not there stops a run before it has written anything.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::{
    clouds::{CloudError, ErrorKind, RegistryClient},
    kinds::{
        Desired,
        fly::{Cron, Machine, ReleaseCommand, workload::Workload},
    },
    model::{Address, Image},
};

/// Where Fly pulls from with the token of an organization; from all others, only what is public.
const FLY_REGISTRY: &str = "registry.fly.io";

/// What the registries said.
#[derive(Clone, Debug, Default)]
pub struct ResolvedImages {
    digests: BTreeMap<Image, String>,
    failures: Vec<ImageLookupFailure>,
}

/// An image that could not be looked up.
#[derive(Clone, Debug)]
pub struct ImageLookupFailure {
    /// The image as the manifest names it.
    pub image: Image,
    /// The machines and cron machines that are to run it.
    pub used_by: Vec<Address>,
    /// What the registry said.
    pub error: CloudError,
}

/// Looks up every image that a machine or a cron machine is to run, each once and all at the same time.
pub async fn resolve_images(registry: &RegistryClient, desired: &Desired) -> ResolvedImages {
    let looks = image_users(desired)
        .into_iter()
        .map(|(image, users)| async move {
            let digest = resolve_digest(registry, &image).await;
            (image, users, digest)
        });
    let mut found = ResolvedImages::default();
    for (image, users, digest) in join_all(looks).await {
        match digest {
            Ok(digest) => drop(found.digests.insert(image, digest)),
            Err(error) => found.failures.push(ImageLookupFailure {
                image,
                used_by: users,
                error,
            }),
        }
    }
    tracing::info!(
        images = found.digests.len(),
        requests = registry.request_count(),
        "has looked up the images"
    );
    found
}

/// A `machine_config` may name an image that no manifest would be allowed to.
async fn resolve_digest(registry: &RegistryClient, image: &Image) -> Result<String, CloudError> {
    if let Err(error) = Image::parse(image.as_str()) {
        return Err(CloudError::new(
            format!("look up the image {image}"),
            ErrorKind::Rejected,
            error.to_string(),
        ));
    }
    registry.resolve_digest(image).await
}

/// Each image, and who is to run it.
fn image_users(desired: &Desired) -> BTreeMap<Image, Vec<Address>> {
    let machines = desired
        .fly_machine
        .iter()
        .map(|(name, spec)| (Address::new::<Machine>(name), &spec.workload));
    let crons = desired
        .fly_cron
        .iter()
        .map(|(name, spec)| (Address::new::<Cron>(name), &spec.workload));
    let mut users: BTreeMap<Image, Vec<Address>> = BTreeMap::new();
    let commands = desired
        .fly_release
        .iter()
        .map(|(name, spec)| (Address::new::<ReleaseCommand>(name), &spec.workload));
    for (address, workload) in machines.chain(crons).chain(commands) {
        if let Some(image) = &workload.config.image {
            users.entry(image.clone()).or_default().push(address);
        }
    }
    users
}

impl ResolvedImages {
    /// Puts the digest to every tag that was found.
    pub fn pin_digests(&self, desired: &mut Desired) {
        let pin = |workload: &mut Workload| {
            let found = workload
                .config
                .image
                .as_ref()
                .and_then(|image| Some((image, self.digests.get(image)?)));
            if let Some((image, digest)) = found {
                workload.config.image = Some(image.pinned(digest));
            }
        };
        desired
            .fly_machine
            .values_mut()
            .for_each(|spec| pin(&mut spec.workload));
        desired
            .fly_cron
            .values_mut()
            .for_each(|spec| pin(&mut spec.workload));
        desired
            .fly_release
            .values_mut()
            .for_each(|spec| pin(&mut spec.workload));
    }

    /// What stops a run.
    pub fn fatal_failures(&self) -> impl Iterator<Item = &ImageLookupFailure> {
        self.failures.iter().filter(|failure| failure.is_fatal())
    }

    /// What the user should know about images that stop nothing: all that could not be looked up when `lenient`.
    pub fn warnings(&self, lenient: bool) -> impl Iterator<Item = String> {
        let passed = self
            .failures
            .iter()
            .filter(move |failure| lenient || !failure.is_fatal());
        passed.map(|failure| format!("{}; it is compared as it is written", failure.reason()))
    }
}

impl ImageLookupFailure {
    /// A digest says by itself which image it is, so only a registry that does not have it is in the way. A tag says
    /// nothing until it is looked up.
    fn is_fatal(&self) -> bool {
        self.image.digest().is_none()
            || matches!(self.error.kind, ErrorKind::NotFound | ErrorKind::Rejected)
    }

    /// What is wrong, in a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.error.kind {
            ErrorKind::NotFound => format!("there is no image `{}`", self.image),
            _ => format!("cannot {}", self.error),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self.error.kind {
            ErrorKind::NotFound => {
                format!("push it to {}, or check its repository and tag", self.image.registry())
            }
            ErrorKind::PermissionDenied if self.image.registry() == FLY_REGISTRY => format!(
                "the token must be able to see the app `{}`: `fly tokens list`",
                self.image.repository()
            ),
            ErrorKind::PermissionDenied => format!(
                "Fly pulls what is public, and from its own registry: push it to {FLY_REGISTRY} after `fly auth docker`, or make it \
                 public; some registries also say this of an image that does not exist"
            ),
            ErrorKind::Rejected => "write it as `registry.fly.io/app:tag` or `name@sha256:…`".to_owned(),
            _ => "run it again, or name the digest, which needs no look: --image APP=NAME:TAG@sha256:…"
                .to_owned(),
        }
    }
}
