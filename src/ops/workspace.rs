//! One environment, ready to work with: its manifest, the clients that read the clouds, and the environment lock while
//! this run holds it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::{OperationError, RunIdentity, images, reviewable::reviewable_part};
use crate::{
    clouds::{CloudError, CloudReaders, ProgressSink, RegistryClient, aws, fly},
    kinds::{CloudWriters, Desired, World, fly::secrets::SecretsSpec},
    lock::LockLease,
    manifest::LoadedEnvironment,
    model::{Address, Fingerprint, Image},
    observe::{self, ResolvedImages},
    plan::{self, Plan},
};

/// How a workspace is opened.
#[derive(Clone, Debug)]
pub struct WorkspaceOptions {
    /// Whether an image that cannot be looked up is a warning rather than an error.
    pub allow_missing_images: bool,
    /// When the command began: deadlines count from here.
    pub started_at: Instant,
    /// How much faster than the real clouds the server runs; 1.0 for the real ones.
    pub speed: f64,
    /// Who runs this process.
    pub identity: RunIdentity,
    /// The wall clock, for the expiry of the environment lock.
    pub wall_clock: fn() -> jiff::Timestamp,
}

/// One environment with connected clients.
pub struct Workspace {
    /// The manifest, and what it asks for.
    pub loaded: LoadedEnvironment,
    /// The clients without write access.
    pub readers: CloudReaders,
    pub(super) options: WorkspaceOptions,
    pub(super) registry: RegistryClient,
    /// Each tag is resolved once for the whole run, so that the plan that verifies cannot mean another image than the
    /// plan that was shown, even when the tag moves in between.
    images: OnceCell<ResolvedImages>,
    lock: Mutex<Option<Arc<LockLease>>>,
}

impl Workspace {
    /// Puts a manifest and its clients together. It sends nothing. The fingerprints of secrets, which every plan needs, are
    /// computed from now on, beside the reading of the clouds.
    #[must_use]
    pub fn new(
        loaded: LoadedEnvironment,
        readers: CloudReaders,
        registry: RegistryClient,
        options: WorkspaceOptions,
    ) -> Self {
        let secrets = loaded.desired.fly_secrets.values();
        let fingerprints = secrets.flat_map(SecretsSpec::fingerprints).cloned();
        Fingerprint::compute_in_background(fingerprints.collect());
        Self {
            loaded,
            readers,
            options,
            registry,
            images: OnceCell::new(),
            lock: Mutex::default(),
        }
    }

    /// What the manifest asks for.
    #[must_use]
    pub fn desired(&self) -> &Desired {
        &self.loaded.desired
    }

    /// When the command began.
    #[must_use]
    pub fn started_at(&self) -> Instant {
        self.options.started_at
    }

    /// How much faster than the real clouds the server runs.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.options.speed
    }

    /// How many requests have been sent to Fly and to registries.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.readers.fly.request_count() + self.registry.request_count()
    }

    /// Reads the live state of the environment.
    ///
    /// # Errors
    /// When a list cannot be read to its end.
    pub async fn observe(&self) -> Result<World, CloudError> {
        observe::observe(&self.readers, &self.loaded.desired).await
    }

    /// Reads the live state, and at the same time resolves the images that `desired` asks for.
    ///
    /// # Errors
    /// When a list cannot be read to its end. An image that cannot be resolved is an error of [`Self::plan`].
    pub async fn observe_with_images(&self, desired: &Desired) -> Result<World, CloudError> {
        let images = self
            .images
            .get_or_init(|| observe::resolve_images(&self.registry, desired));
        let (world, _) = tokio::join!(self.observe(), images);
        world
    }

    /// Plans from `world` to `desired`, with every tag pinned to its digest; only the selected addresses where `only`
    /// is not empty.
    ///
    /// # Errors
    /// When an address of `only` is unknown, an image is missing, or references form a cycle.
    pub fn plan(
        &self,
        desired: &Desired,
        world: &World,
        only: &[Address],
    ) -> Result<Plan, OperationError> {
        check_known_addresses(only, desired, world)?;
        let pinned = self.pin_images(desired.clone())?;
        let mut plan = plan::plan(&pinned, world)?;
        if !desired.meta.given_images.is_empty() || !desired.fly_secrets.is_empty() {
            let part = self.pin_images(reviewable_part(desired, world))?;
            plan = plan.with_reviewable_part(plan::plan(&part, world)?);
            plan.has_given_images = !desired.meta.given_images.is_empty();
        }
        plan.findings
            .warnings
            .extend(pinned.meta.warnings.iter().cloned());
        Ok(select(plan, only))
    }

    /// Pins every tag to its digest, where the registries have been asked.
    fn pin_images(&self, mut desired: Desired) -> Result<Desired, OperationError> {
        if let Some(resolved) = self.images.get() {
            let lenient = self.options.allow_missing_images;
            if !lenient {
                images::check_missing_images(&self.loaded, resolved)?;
            }
            resolved.pin_digests(&mut desired);
            desired.meta.warnings.extend(resolved.warnings(lenient));
        }
        Ok(desired)
    }

    /// Checks that these images are still in their registries.
    ///
    /// # Errors
    /// When a registry says that an image is gone. A registry that does not answer is no error: it may well answer Fly.
    pub async fn check_images_exist(&self, images: BTreeSet<Image>) -> Result<(), OperationError> {
        let lookups = images
            .iter()
            .map(|image| self.registry.resolve_digest(image));
        for (image, result) in images.iter().zip(join_all(lookups).await) {
            match result {
                Err(error) if error.is_not_found() => {
                    return Err(OperationError::invalid(
                        format!("there is no image `{image}` any more"),
                        "its registry has deleted it: push it again, or go back to another release",
                    ));
                }
                Err(error) => tracing::warn!(%error, "an image could not be looked up"),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// The clients with write access, with leases that say which command of whom holds them.
    #[must_use]
    pub fn writers(&self, command: &str) -> CloudWriters {
        let mark = &self.loaded.desired.meta.mark;
        let environment = format!("{}/{}", mark.project, mark.environment);
        let description = self
            .options
            .identity
            .lease_description(command, &environment);
        CloudWriters {
            fly: fly::FlyWriter::with_leases(
                self.readers.fly.clone(),
                fly::Leases::new(description),
            ),
            aws: self.readers.aws.clone().map(aws::AwsWriter::new),
            lock: self.held_lock(),
            progress: ProgressSink::disabled(),
        }
    }

    /// The environment lock, while this run holds it.
    #[must_use]
    pub fn held_lock(&self) -> Option<Arc<LockLease>> {
        self.lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn store_lock(&self, lease: LockLease) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(lease));
    }

    /// Releases the environment lock, if this run holds it.
    pub async fn release_lock(&self) {
        let lease = self
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(lease) = lease {
            // A lock that is not released expires by itself.
            if let Err(error) = lease.release().await {
                tracing::warn!(%error, "the lock was not released");
            }
        }
    }
}

/// Narrows a plan to the selected addresses and what they need.
pub(super) fn select(plan: Plan, only: &[Address]) -> Plan {
    if only.is_empty() {
        plan
    } else {
        plan.only(only)
    }
}

/// Rejects addresses that name nothing. With a typing error the selected part of a plan would be empty, and look done.
///
/// # Errors
/// When an address is neither in the manifest nor live.
pub fn check_known_addresses(
    wanted: &[Address],
    desired: &Desired,
    world: &World,
) -> Result<(), OperationError> {
    match plan::unknown_addresses(wanted, desired, world).first() {
        None => Ok(()),
        Some(unknown) => Err(OperationError::invalid(
            format!("there is no {unknown}, in the manifest or live"),
            "`plan --format json` lists the addresses; an app's covers everything in it, as in fly.app/web",
        )),
    }
}
