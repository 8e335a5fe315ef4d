//! The calls of a provider.

use super::{AUDIENCE, Provider, ProviderEdit, ProviderLive, ProviderSpec, SHARED, arn, host};
use crate::{
    clouds::{CloudError, Clouds, Trouble, aws::wire},
    kinds::{Drive, World},
    model::Name,
};

impl ProviderLive {
    /// A provider as IAM reports it.
    #[must_use]
    pub fn read(provider: &wire::Provider) -> Self {
        let wire::Provider {
            arn,
            audiences,
            tags,
        } = provider;
        Self {
            arn: arn.clone(),
            audiences: audiences.clone(),
            ours: tags.contains_key(SHARED),
        }
    }
}

impl Drive for Provider {
    /// One that somebody else has made meanwhile is as good.
    async fn create(
        clouds: &Clouds,
        _: &Name,
        spec: &ProviderSpec,
        _: &World,
    ) -> Result<ProviderLive, CloudError> {
        let aws = clouds.aws()?;
        let tags = [(SHARED.to_owned(), "true".to_owned())].into();
        aws.create_provider(&format!("https://{}", host(&spec.org)), AUDIENCE, &tags)
            .await?;
        let arn = arn(&spec.account, &spec.org);
        match aws.provider(&arn).await? {
            Some(made) => Ok(ProviderLive::read(&made)),
            // It was made a moment ago, and IAM lags behind.
            None => Ok(ProviderLive {
                arn,
                audiences: vec![AUDIENCE.to_owned()],
                ours: true,
            }),
        }
    }

    async fn edit(
        clouds: &Clouds,
        live: &ProviderLive,
        edit: &ProviderEdit,
        _: &World,
    ) -> Result<ProviderLive, CloudError> {
        let ProviderEdit::AddAudience = edit;
        clouds.aws()?.add_audience(&live.arn, AUDIENCE).await?;
        let mut after = live.clone();
        after.audiences.push(AUDIENCE.to_owned());
        Ok(after)
    }

    /// A role that has begun to trust it since the plan was made keeps it.
    async fn delete(clouds: &Clouds, live: &ProviderLive, _: &World) -> Result<(), CloudError> {
        let aws = clouds.aws()?;
        if !aws
            .provider(&live.arn)
            .await?
            .is_none_or(|now| now.tags.contains_key(SHARED))
        {
            let doing = format!("remove the identity provider {}", live.arn);
            return Err(CloudError::aws(
                doing,
                Trouble::Refused,
                "somebody else has made it",
            ));
        }
        if let Some(role) = aws.trusts(&live.arn).await? {
            let doing = format!("remove the identity provider {}", live.arn);
            let why = format!("role {role} has begun to trust it");
            return Err(CloudError::aws(doing, Trouble::Busy, why));
        }
        aws.delete_provider(&live.arn).await
    }
}
