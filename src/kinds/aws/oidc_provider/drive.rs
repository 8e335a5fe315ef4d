//! Creates, changes and deletes OIDC providers.

use super::{
    AUDIENCE, OidcProvider, OidcProviderEdit, OidcProviderLive, OidcProviderSpec, SHARED_TAG,
    issuer_host, provider_arn,
};
use crate::{
    clouds::{CloudError, ErrorKind, aws::types},
    kinds::{CloudWriters, Drive, World},
    model::Name,
};

impl OidcProviderLive {
    /// The live state from what IAM reports.
    #[must_use]
    pub fn from_iam(provider: &types::OidcProviderDescription) -> Self {
        let types::OidcProviderDescription {
            arn,
            audiences,
            tags,
        } = provider;
        Self {
            arn: arn.clone(),
            audiences: audiences.clone(),
            ours: tags.contains_key(SHARED_TAG),
        }
    }
}

impl Drive for OidcProvider {
    /// If somebody else created the provider meanwhile, that one is used.
    async fn create(
        clouds: &CloudWriters,
        _: &Name,
        spec: &OidcProviderSpec,
        _: &World,
    ) -> Result<OidcProviderLive, CloudError> {
        let aws = clouds.aws()?;
        let tags = [(SHARED_TAG.to_owned(), "true".to_owned())].into();
        aws.create_oidc_provider(
            &format!("https://{}", issuer_host(&spec.org)),
            AUDIENCE,
            &tags,
        )
        .await?;
        let arn = provider_arn(&spec.account, &spec.org);
        match aws.read_oidc_provider(&arn).await? {
            Some(created) => Ok(OidcProviderLive::from_iam(&created)),
            // It was just created, and IAM does not show it everywhere yet.
            None => Ok(OidcProviderLive {
                arn,
                audiences: vec![AUDIENCE.to_owned()],
                ours: true,
            }),
        }
    }

    async fn edit(
        clouds: &CloudWriters,
        live: &OidcProviderLive,
        edit: &OidcProviderEdit,
        _: &World,
    ) -> Result<OidcProviderLive, CloudError> {
        let OidcProviderEdit::AddAudience = edit;
        clouds.aws()?.add_audience(&live.arn, AUDIENCE).await?;
        let mut after = live.clone();
        after.audiences.push(AUDIENCE.to_owned());
        Ok(after)
    }

    /// The provider is kept if a role has started to trust it since the plan.
    async fn delete(
        clouds: &CloudWriters,
        live: &OidcProviderLive,
        _: &World,
    ) -> Result<(), CloudError> {
        let aws = clouds.aws()?;
        if !aws
            .read_oidc_provider(&live.arn)
            .await?
            .is_none_or(|current| current.tags.contains_key(SHARED_TAG))
        {
            let operation = format!("remove the identity provider {}", live.arn);
            return Err(CloudError::new_aws(
                operation,
                ErrorKind::Rejected,
                "somebody else has made it",
            ));
        }
        if let Some(role) = aws.find_role_trusting(&live.arn).await? {
            let operation = format!("remove the identity provider {}", live.arn);
            let message = format!("role {role} has begun to trust it");
            return Err(CloudError::new_aws(operation, ErrorKind::Busy, message));
        }
        aws.delete_oidc_provider(&live.arn).await
    }
}
