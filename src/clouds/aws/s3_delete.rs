//! Deleting a bucket, and whether it is empty. S3 deletes only empty buckets, and the only object that trimtab deletes is its
//! own lock.

use aws_sdk_s3::types as sdk;

use super::{
    AwsReader, AwsWriter,
    read::absent_as_none,
    retry::{RETRYABLE_ON_EXISTING_BUCKET, retry, to_cloud_error},
    s3::BucketRef,
};
use crate::clouds::{CloudError, ErrorKind};

impl AwsReader {
    /// Any object (or old version, or delete marker) of a bucket whose key is not `own_key`; `None`
    /// if there is none.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn find_other_key(
        &self,
        name: &str,
        region: &str,
        own_key: &str,
    ) -> Result<Option<String>, CloudError> {
        let operation = format!("look whether bucket {name} holds anything");
        // A listing starts after its key marker: if the first entry is our own key, the second
        // request starts behind it.
        for marker in [None, Some(own_key.to_owned())] {
            let request = self
                .account
                .s3(region)
                .list_object_versions()
                .bucket(name)
                .max_keys(1);
            let request = request
                .expected_bucket_owner(self.expected_bucket_owner())
                .set_key_marker(marker);
            let response = request
                .send()
                .await
                .map_err(|error| to_cloud_error(&operation, &error))?;
            let versions = response
                .versions
                .unwrap_or_default()
                .into_iter()
                .map(|version| version.key);
            let markers = response
                .delete_markers
                .unwrap_or_default()
                .into_iter()
                .map(|marker| marker.key);
            match versions.chain(markers).flatten().next() {
                None => return Ok(None),
                Some(key) if key != own_key => return Ok(Some(key)),
                Some(_) => {}
            }
        }
        Ok(None)
    }
}

impl AwsWriter {
    /// Deletes the old versions and all delete markers of our own object, so that the bucket can be
    /// deleted. The current version stays. trimtab never deletes anything else from a bucket.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn delete_old_versions(
        &self,
        bucket: BucketRef<'_>,
        own_key: &str,
    ) -> Result<(), CloudError> {
        let operation = format!(
            "remove old versions of {own_key} from bucket {}",
            bucket.name
        );
        let client = self.account.s3(bucket.region);
        loop {
            let request = client
                .list_object_versions()
                .bucket(bucket.name)
                .prefix(own_key);
            let page = request
                .expected_bucket_owner(self.expected_bucket_owner())
                .send()
                .await;
            // A bucket that somebody else has deleted meanwhile has no versions either.
            let Some(page) = absent_as_none(&operation, page, &["NoSuchBucket"])? else {
                return Ok(());
            };
            let versions = page.versions.unwrap_or_default().into_iter();
            let old_versions = versions
                .filter(|one| !one.is_latest.unwrap_or(true))
                .map(|one| (one.key, one.version_id));
            let delete_markers = page
                .delete_markers
                .unwrap_or_default()
                .into_iter()
                .map(|one| (one.key, one.version_id));
            // Other keys may start with our key.
            let objects = old_versions
                .chain(delete_markers)
                .filter(|(key, _)| key.as_deref() == Some(own_key));
            let invalid = |error: aws_sdk_s3::error::BuildError| {
                CloudError::new_aws(&operation, ErrorKind::Rejected, error.to_string())
            };
            let one = |(key, version)| {
                sdk::ObjectIdentifier::builder()
                    .set_key(key)
                    .set_version_id(version)
                    .build()
                    .map_err(invalid)
            };
            let objects: Vec<_> = objects.map(one).collect::<Result<_, _>>()?;
            if objects.is_empty() {
                return Ok(());
            }
            let all = sdk::Delete::builder()
                .set_objects(Some(objects))
                .quiet(true)
                .build()
                .map_err(invalid)?;
            let request = client.delete_objects().bucket(bucket.name).delete(all);
            let response = request
                .expected_bucket_owner(self.expected_bucket_owner())
                .send()
                .await;
            let Some(response) = absent_as_none(&operation, response, &["NoSuchBucket"])? else {
                return Ok(());
            };
            if let Some(error) = response.errors.unwrap_or_default().first() {
                let text_or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
                let message = format!(
                    "{}: {}",
                    text_or_empty(&error.code),
                    text_or_empty(&error.message)
                );
                let is_denied = error.code.as_deref() == Some("AccessDenied");
                let kind = if is_denied {
                    ErrorKind::PermissionDenied
                } else {
                    ErrorKind::Ambiguous
                };
                return Err(CloudError::new_aws(&operation, kind, message));
            }
        }
    }

    /// Deletes an empty bucket. If it does not exist, that is not an error.
    ///
    /// # Errors
    /// When a request fails; a bucket that is not empty is an error.
    pub async fn delete_bucket(&self, bucket: BucketRef<'_>) -> Result<(), CloudError> {
        let operation = format!("remove bucket {}", bucket.name);
        let client = self.account.s3(bucket.region);
        let response = retry(
            self.speed(),
            &operation,
            RETRYABLE_ON_EXISTING_BUCKET,
            || {
                client
                    .delete_bucket()
                    .bucket(bucket.name)
                    .expected_bucket_owner(self.expected_bucket_owner())
                    .send()
            },
        );
        match response.await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
