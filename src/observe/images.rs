//! Resolves the image tags of a manifest to digests before a plan is made, so that the reviewed
//! image is the one that runs, and a missing image stops a run before it has changed anything.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use crate::{
    clouds::{CloudError, ErrorKind, RegistryClient},
    kinds::{
        Desired,
        fly::{
            Cron, Machine, ReleaseCommand,
            workload::{Workload, container_images, replace_container_images},
        },
    },
    model::{Address, Image},
};

/// Fly's registry, from which Fly pulls with the organization's token. From all others it only
/// pulls public images.
const FLY_REGISTRY: &str = "registry.fly.io";

/// The results of resolving all images.
#[derive(Clone, Debug, Default)]
pub struct ResolvedImages {
    digests: BTreeMap<Image, String>,
    failures: Vec<ImageLookupFailure>,
}

/// An image that could not be looked up.
#[derive(Clone, Debug)]
pub struct ImageLookupFailure {
    /// The image as named in the manifest.
    pub image: Image,
    /// The resources that run it.
    pub used_by: Vec<Address>,
    /// The registry's error.
    pub error: CloudError,
}

/// Resolves every image of the manifest, each once and all concurrently.
pub async fn resolve_images(registry: &RegistryClient, desired: &Desired) -> ResolvedImages {
    let lookups = image_users(desired)
        .into_iter()
        .map(|(image, users)| async move {
            let digest = resolve_digest(registry, &image).await;
            (image, users, digest)
        });
    let mut resolved = ResolvedImages::default();
    for (image, users, digest) in join_all(lookups).await {
        match digest {
            Ok(digest) => drop(resolved.digests.insert(image, digest)),
            Err(error) => resolved.failures.push(ImageLookupFailure {
                image,
                used_by: users,
                error,
            }),
        }
    }
    tracing::info!(
        images = resolved.digests.len(),
        requests = registry.request_count(),
        "has looked up the images"
    );
    resolved
}

/// Validates the image first: a `machine_config` block is not checked when the manifest is loaded.
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

/// All images of the manifest, with the resources that run them.
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
        let own = workload.config.image.iter().cloned();
        let images: BTreeSet<Image> = own.chain(container_images(&workload.config)).collect();
        for image in images {
            users.entry(image).or_default().push(address.clone());
        }
    }
    users
}

impl ResolvedImages {
    /// Adds the digest to every image that was resolved.
    pub fn pin_digests(&self, desired: &mut Desired) {
        let pin = |workload: &mut Workload| {
            let resolved = workload
                .config
                .image
                .as_ref()
                .and_then(|image| Some((image, self.digests.get(image)?)));
            if let Some((image, digest)) = resolved {
                workload.config.image = Some(image.pinned(digest));
            }
            replace_container_images(&mut workload.config, |image| {
                Some(image.pinned(self.digests.get(image)?))
            });
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

    /// The failures that stop a run.
    pub fn fatal_failures(&self) -> impl Iterator<Item = &ImageLookupFailure> {
        self.failures.iter().filter(|failure| failure.is_fatal())
    }

    /// Warnings about failures that do not stop the run; if `lenient`, about all failures.
    pub fn warnings(&self, lenient: bool) -> impl Iterator<Item = String> {
        let tolerated = self
            .failures
            .iter()
            .filter(move |failure| lenient || !failure.is_fatal());
        tolerated.map(|failure| format!("{}; it is compared as it is written", failure.reason()))
    }
}

impl ImageLookupFailure {
    /// With a digest it is clear which image is meant, so only its absence stops the run. A tag
    /// must be resolved.
    fn is_fatal(&self) -> bool {
        self.image.digest().is_none()
            || matches!(self.error.kind, ErrorKind::NotFound | ErrorKind::Rejected)
    }

    /// What is wrong, as a sentence fragment.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.error.kind {
            ErrorKind::NotFound => format!("there is no image `{}`", self.image),
            _ => format!("cannot {}", self.error),
        }
    }

    /// What the user can do about it.
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
