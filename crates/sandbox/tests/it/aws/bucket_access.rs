//! What lets others into a bucket besides its policy: ACLs, the account's block of public access, and
//! settings such as replication.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::types::{
    BucketCannedAcl, BucketVersioningStatus, CorsConfiguration, CorsRule, Destination,
    IndexDocument, ObjectOwnership, OwnershipControls, OwnershipControlsRule, Permission,
    PublicAccessBlockConfiguration, ReplicationConfiguration, ReplicationRule,
    ReplicationRuleStatus, Type, VersioningConfiguration, WebsiteConfiguration,
};
use serde_json::{Value, json};

use super::support::{ACCOUNT, OTHER_ACCOUNT, US_EAST, admin_clients, assert_error, error_parts};
use crate::support::TestSandbox;

async fn set_ownership(
    s3: &Client,
    ownership: ObjectOwnership,
) -> Result<(), (u16, String, String)> {
    let rule = OwnershipControlsRule::builder()
        .object_ownership(ownership)
        .build()
        .unwrap();
    let controls = OwnershipControls::builder().rules(rule).build().unwrap();
    let put = s3
        .put_bucket_ownership_controls()
        .bucket("box")
        .ownership_controls(controls);
    put.send()
        .await
        .map(drop)
        .map_err(|error| error_parts::<(), _>(Err(error)))
}

fn public_access(on: bool) -> PublicAccessBlockConfiguration {
    PublicAccessBlockConfiguration::builder()
        .block_public_acls(on)
        .ignore_public_acls(on)
        .block_public_policy(on)
        .restrict_public_buckets(on)
        .build()
}

/// A bucket without a block of public access.
async fn open_bucket(sandbox: &TestSandbox) -> Client {
    let s3 = admin_clients(sandbox, ACCOUNT, US_EAST).s3;
    s3.create_bucket().bucket("box").send().await.unwrap();
    let block = s3.put_public_access_block().bucket("box");
    block
        .public_access_block_configuration(public_access(false))
        .send()
        .await
        .unwrap();
    s3
}

/// The grants of the bucket, as grantee and permission.
async fn grants(s3: &Client) -> Vec<(String, Permission)> {
    let acl = s3.get_bucket_acl().bucket("box").send().await.unwrap();
    let owner = acl.owner().unwrap().id().unwrap().to_owned();
    let show = |grant: &aws_sdk_s3::types::Grant| {
        let grantee = grant.grantee().unwrap();
        let name = match grantee.r#type() {
            Type::Group => grantee.uri().unwrap().rsplit('/').next().unwrap(),
            _ if grantee.id() == Some(owner.as_str()) => "owner",
            _ => grantee.id().unwrap(),
        };
        (name.to_owned(), grant.permission().unwrap().clone())
    };
    acl.grants().iter().map(show).collect()
}

#[tokio::test]
async fn acls_follow_object_ownership() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = open_bucket(&sandbox).await;
    let owner_only = [("owner".to_owned(), Permission::FullControl)];
    assert_eq!(grants(&s3).await, owner_only);
    let put = |acl: BucketCannedAcl| s3.put_bucket_acl().bucket("box").acl(acl).send();
    put(BucketCannedAcl::Private).await.unwrap();
    assert_error(
        put(BucketCannedAcl::PublicRead).await,
        400,
        "AccessControlListNotSupported",
    );
    set_ownership(&s3, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    put(BucketCannedAcl::PublicReadWrite).await.unwrap();
    let public = [
        ("owner".to_owned(), Permission::FullControl),
        ("AllUsers".to_owned(), Permission::Read),
        ("AllUsers".to_owned(), Permission::Write),
    ];
    assert_eq!(grants(&s3).await, public);
    let (status, code, _) = set_ownership(&s3, ObjectOwnership::BucketOwnerEnforced)
        .await
        .unwrap_err();
    assert_eq!(
        (status, code.as_str()),
        (400, "InvalidBucketAclWithObjectOwnership")
    );
    let grant = s3.put_bucket_acl().bucket("box").grant_read("id=\"0123\"");
    grant.send().await.unwrap();
    assert_eq!(grants(&s3).await, [("0123".to_owned(), Permission::Read)]);
    assert_error(
        s3.put_bucket_acl().bucket("box").send().await,
        400,
        "MissingSecurityHeader",
    );
    put(BucketCannedAcl::Private).await.unwrap();
    set_ownership(&s3, ObjectOwnership::BucketOwnerEnforced)
        .await
        .unwrap();
    assert_eq!(grants(&s3).await, owner_only);
}

#[tokio::test]
async fn acl_is_read_from_document() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = open_bucket(&sandbox).await;
    set_ownership(&s3, ObjectOwnership::BucketOwnerPreferred)
        .await
        .unwrap();
    let before = s3.get_bucket_acl().bucket("box").send().await.unwrap();
    let grantee = aws_sdk_s3::types::Grantee::builder()
        .r#type(Type::Group)
        .uri("http://acs.amazonaws.com/groups/s3/LogDelivery")
        .build()
        .unwrap();
    let grant = aws_sdk_s3::types::Grant::builder()
        .grantee(grantee)
        .permission(Permission::Write)
        .build();
    let policy = aws_sdk_s3::types::AccessControlPolicy::builder()
        .set_owner(before.owner().cloned())
        .set_grants(Some(
            before.grants().iter().cloned().chain([grant]).collect(),
        ))
        .build();
    let put = s3
        .put_bucket_acl()
        .bucket("box")
        .access_control_policy(policy);
    put.send().await.unwrap();
    let expected = [
        ("owner".to_owned(), Permission::FullControl),
        ("LogDelivery".to_owned(), Permission::Write),
    ];
    assert_eq!(grants(&s3).await, expected);
}

#[tokio::test]
async fn new_bucket_cannot_have_public_acl() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = admin_clients(&sandbox, ACCOUNT, US_EAST).s3;
    let create = |ownership: Option<ObjectOwnership>| {
        s3.create_bucket()
            .bucket("box")
            .acl(BucketCannedAcl::PublicRead)
            .set_object_ownership(ownership)
            .send()
    };
    assert_error(
        create(None).await,
        400,
        "InvalidBucketAclWithObjectOwnership",
    );
    assert_error(
        create(Some(ObjectOwnership::ObjectWriter)).await,
        400,
        "InvalidBucketAclWithBlockPublicAccessError",
    );
}

/// Turns a request of S3 for a bucket into the one of S3 Control for an account.
fn to_account(account: &'static str) -> impl Fn(&mut HttpRequest) + Clone + Send + Sync + 'static {
    move |request| {
        let uri = request.uri().to_owned();
        let base = uri.split("/box").next().unwrap_or_default();
        let address = format!("{base}/v20180820/configuration/publicAccessBlock");
        request.set_uri(address).unwrap();
        request.headers_mut().insert("x-amz-account-id", account);
    }
}

#[tokio::test]
async fn account_blocks_public_access_of_its_buckets() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = open_bucket(&sandbox).await;
    let get = async |account| {
        let get = s3.get_public_access_block().bucket("box").customize();
        get.mutate_request(to_account(account)).send().await
    };
    assert_error(
        get(ACCOUNT).await,
        404,
        "NoSuchPublicAccessBlockConfiguration",
    );
    assert_error(get(OTHER_ACCOUNT).await, 403, "AccessDenied");
    let put = s3
        .put_public_access_block()
        .bucket("box")
        .public_access_block_configuration(public_access(true))
        .customize();
    put.mutate_request(to_account(ACCOUNT))
        .send()
        .await
        .unwrap();
    let block = get(ACCOUNT).await.unwrap();
    let block = block.public_access_block_configuration().unwrap();
    assert_eq!(block, &public_access(true));
    // The bucket's own settings still allow it.
    let own = s3
        .get_public_access_block()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_eq!(
        own.public_access_block_configuration(),
        Some(&public_access(false))
    );
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/*" },
    ] });
    let put_policy = || {
        s3.put_bucket_policy()
            .bucket("box")
            .policy(policy.to_string())
            .send()
    };
    let (status, code, message) = error_parts(put_policy().await);
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert!(message.contains("BlockPublicPolicy"), "{message}");
    set_ownership(&s3, ObjectOwnership::ObjectWriter)
        .await
        .unwrap();
    let acl = s3
        .put_bucket_acl()
        .bucket("box")
        .acl(BucketCannedAcl::PublicRead);
    assert_error(acl.send().await, 403, "AccessDenied");
    let delete = s3.delete_public_access_block().bucket("box").customize();
    delete
        .mutate_request(to_account(ACCOUNT))
        .send()
        .await
        .unwrap();
    put_policy().await.unwrap();
}

#[tokio::test]
async fn replication_cors_and_website_are_kept() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = open_bucket(&sandbox).await;
    let get_replication = || s3.get_bucket_replication().bucket("box").send();
    assert_error(
        get_replication().await,
        404,
        "ReplicationConfigurationNotFoundError",
    );
    let destination = Destination::builder()
        .bucket("arn:aws:s3:::somebody-elses")
        .build()
        .unwrap();
    let rule = ReplicationRule::builder()
        .id("x")
        .status(ReplicationRuleStatus::Enabled)
        .destination(destination)
        .build()
        .unwrap();
    let configuration = ReplicationConfiguration::builder()
        .role(format!("arn:aws:iam::{ACCOUNT}:role/x"))
        .rules(rule)
        .build()
        .unwrap();
    let put = || {
        s3.put_bucket_replication()
            .bucket("box")
            .replication_configuration(configuration.clone())
            .send()
    };
    assert_error(put().await, 400, "InvalidRequest");
    let versioning = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let enable = s3.put_bucket_versioning().bucket("box");
    enable
        .versioning_configuration(versioning)
        .send()
        .await
        .unwrap();
    put().await.unwrap();
    let got = get_replication().await.unwrap();
    assert_eq!(got.replication_configuration(), Some(&configuration));
    s3.delete_bucket_replication()
        .bucket("box")
        .send()
        .await
        .unwrap();
    assert_error(
        get_replication().await,
        404,
        "ReplicationConfigurationNotFoundError",
    );

    let rule = CorsRule::builder()
        .allowed_methods("GET")
        .allowed_origins("*")
        .build()
        .unwrap();
    let cors = CorsConfiguration::builder()
        .cors_rules(rule)
        .build()
        .unwrap();
    let put = s3
        .put_bucket_cors()
        .bucket("box")
        .cors_configuration(cors.clone());
    put.send().await.unwrap();
    let got = s3.get_bucket_cors().bucket("box").send().await.unwrap();
    assert_eq!(got.cors_rules(), cors.cors_rules());
    s3.delete_bucket_cors().bucket("box").send().await.unwrap();
    let got = s3.get_bucket_cors().bucket("box").send().await;
    assert_error(got, 404, "NoSuchCORSConfiguration");

    let index = IndexDocument::builder()
        .suffix("index.html")
        .build()
        .unwrap();
    let website = WebsiteConfiguration::builder()
        .index_document(index.clone())
        .build();
    let put = s3
        .put_bucket_website()
        .bucket("box")
        .website_configuration(website);
    put.send().await.unwrap();
    let got = s3.get_bucket_website().bucket("box").send().await.unwrap();
    assert_eq!(got.index_document(), Some(&index));
    s3.delete_bucket_website()
        .bucket("box")
        .send()
        .await
        .unwrap();
    let got = s3.get_bucket_website().bucket("box").send().await;
    assert_error(got, 404, "NoSuchWebsiteConfiguration");
}

/// S3 keeps an ARN in place of a canonical user id (hashicorp/terraform-provider-aws#164).
#[tokio::test]
async fn canonical_users_come_back_as_arns() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = open_bucket(&sandbox).await;
    let account_id = s3.list_buckets().send().await.unwrap();
    let account_id = account_id.owner().unwrap().id().unwrap().to_owned();
    let identity_id = "0".repeat(96);
    let put = |principal: Value| {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::box/*",
        }] });
        s3.put_bucket_policy()
            .bucket("box")
            .policy(policy.to_string())
            .send()
    };
    let principal = async || {
        let policy = s3.get_bucket_policy().bucket("box").send().await.unwrap();
        let policy: Value = serde_json::from_str(policy.policy().unwrap()).unwrap();
        policy["Statement"][0]["Principal"].clone()
    };
    put(json!({ "CanonicalUser": account_id })).await.unwrap();
    let root = format!("arn:aws:iam::{ACCOUNT}:root");
    assert_eq!(principal().await, json!({ "AWS": root }));
    put(json!({ "CanonicalUser": identity_id })).await.unwrap();
    let identity = principal().await;
    let arn = identity["AWS"].as_str().unwrap();
    let start = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E";
    assert!(arn.starts_with(start), "{arn}");
    // What came back can be sent again, and then stays.
    put(identity.clone()).await.unwrap();
    assert_eq!(principal().await, identity);
    put(json!({ "AWS": ACCOUNT, "CanonicalUser": identity_id }))
        .await
        .unwrap();
    assert_eq!(principal().await, json!({ "AWS": [root, arn] }));
    assert_error(
        put(json!({ "CanonicalUser": "nobody" })).await,
        400,
        "MalformedPolicy",
    );
}

/// A common rule for compliance: only uploads that name their encryption are accepted.
#[tokio::test]
async fn denied_uploads_are_judged_by_their_encryption_header() {
    let sandbox = TestSandbox::scripted().await;
    let s3 = open_bucket(&sandbox).await;
    let deny = |condition: Value| {
        json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::box/*", "Condition": condition })
    };
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        deny(json!({ "Null": { "s3:x-amz-server-side-encryption": "true" } })),
        deny(json!({ "StringNotEquals": { "s3:x-amz-server-side-encryption": "AES256" } })),
    ] });
    s3.put_bucket_policy()
        .bucket("box")
        .policy(policy.to_string())
        .send()
        .await
        .unwrap();
    let put = || s3.put_object().bucket("box").key("a");
    let (status, code, message) = error_parts(put().send().await);
    assert_eq!((status, code.as_str()), (403, "AccessDenied"));
    assert!(
        message.contains("explicit deny in a resource-based policy"),
        "{message}"
    );
    let encryption = aws_sdk_s3::types::ServerSideEncryption::Aes256;
    put()
        .server_side_encryption(encryption)
        .send()
        .await
        .unwrap();
    let other = aws_sdk_s3::types::ServerSideEncryption::AwsKms;
    assert_error(
        put().server_side_encryption(other).send().await,
        403,
        "AccessDenied",
    );
}
