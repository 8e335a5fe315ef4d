//! `PutBucketAcl` and `GetBucketAcl`. ACLs are kept and checked against object ownership and the
//! blocks of public access, but the sandbox grants nothing by them.

use serde::{Deserialize, Serialize};

use super::call::S3Call;
use super::{buckets, object};
use crate::aws::request::AwsRequest;
use crate::aws::response::{AwsError, AwsResponse};
use crate::aws::xml::XmlNode;

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
const LOG_DELIVERY: &str = "http://acs.amazonaws.com/groups/s3/LogDelivery";
const XML_SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
const PERMISSIONS: [&str; 5] = ["FULL_CONTROL", "READ", "READ_ACP", "WRITE", "WRITE_ACP"];
/// The request headers that grant, and what they grant.
const GRANT_HEADERS: [(&str, &str); 5] = [
    ("x-amz-grant-full-control", "FULL_CONTROL"),
    ("x-amz-grant-read", "READ"),
    ("x-amz-grant-read-acp", "READ_ACP"),
    ("x-amz-grant-write", "WRITE"),
    ("x-amz-grant-write-acp", "WRITE_ACP"),
];

/// Who a grant is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Grantee {
    /// An account, by its canonical user id.
    Account(String),
    /// A predefined group, by its URI.
    Group(String),
}

/// A grant of an ACL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct AclGrant {
    grantee: Grantee,
    permission: String,
}

/// The ACL of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketAcl(Vec<AclGrant>);

impl BucketAcl {
    /// The ACL of a new bucket: everything for its owner.
    fn private(owner: &str) -> Self {
        Self(vec![AclGrant {
            grantee: Grantee::Account(owner.to_owned()),
            permission: "FULL_CONTROL".to_owned(),
        }])
    }

    fn canned(name: &str, owner: &str) -> Result<Self, AwsError> {
        let groups: &[(&str, &str)] = match name {
            // S3 ignores the last two for buckets.
            "private" | "bucket-owner-read" | "bucket-owner-full-control" => &[],
            "public-read" => &[(ALL_USERS, "READ")],
            "public-read-write" => &[(ALL_USERS, "READ"), (ALL_USERS, "WRITE")],
            "authenticated-read" => &[(AUTHENTICATED_USERS, "READ")],
            "log-delivery-write" => &[(LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")],
            _ => {
                return Err(
                    AwsError::invalid_argument("").with_element("ArgumentName", "x-amz-acl")
                );
            }
        };
        let mut acl = Self::private(owner);
        acl.0
            .extend(groups.iter().map(|(uri, permission)| AclGrant {
                grantee: Grantee::Group((*uri).to_owned()),
                permission: (*permission).to_owned(),
            }));
        Ok(acl)
    }

    /// The ACL in the headers of a request. `None` if there is none.
    ///
    /// # Errors
    /// `400` if it is invalid.
    pub(super) fn from_headers(
        request: &AwsRequest,
        owner: &str,
    ) -> Result<Option<Self>, AwsError> {
        let mut grants = Vec::new();
        for (header, permission) in GRANT_HEADERS {
            for grantee in request.header(header).unwrap_or_default().split(',') {
                if !grantee.trim().is_empty() {
                    grants.push(AclGrant {
                        grantee: parse_header_grantee(grantee)?,
                        permission: permission.to_owned(),
                    });
                }
            }
        }
        match (request.header("x-amz-acl"), grants.is_empty()) {
            (Some(_), false) => Err(AwsError::invalid_request(
                "Specifying both Canned ACLs and Header Grants is not allowed",
            )),
            (Some(name), true) => Self::canned(name, owner).map(Some),
            (None, false) => Ok(Some(Self(grants))),
            (None, true) => Ok(None),
        }
    }

    fn from_document(node: &XmlNode) -> Result<Self, AwsError> {
        let list = node
            .child("AccessControlList")
            .ok_or_else(AwsError::malformed_xml)?;
        let grant = |node: &XmlNode| {
            let grantee = node.child("Grantee")?;
            let account = grantee.child_text("ID").map(str::to_owned);
            let group = grantee.child_text("URI").map(str::to_owned);
            let permission = node
                .child_text("Permission")
                .filter(|name| PERMISSIONS.contains(name))?;
            Some(AclGrant {
                grantee: account
                    .map(Grantee::Account)
                    .or(group.map(Grantee::Group))?,
                permission: permission.to_owned(),
            })
        };
        let grants = list.children_named("Grant").map(grant);
        grants
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(AwsError::malformed_xml)
    }

    /// Whether it grants anything to somebody else than the bucket's owner.
    pub(super) fn grants_to_others(&self, owner: &str) -> bool {
        self.0
            .iter()
            .any(|grant| !matches!(&grant.grantee, Grantee::Account(id) if id == owner))
    }

    /// Whether it grants anything to everybody, or to everybody with an AWS account.
    pub(super) fn is_public(&self) -> bool {
        self.0.iter().any(|grant| {
            matches!(&grant.grantee, Grantee::Group(uri) if uri == ALL_USERS || uri == AUTHENTICATED_USERS)
        })
    }

    fn to_document(&self, owner: &str) -> XmlNode {
        let grant = |grant: &AclGrant| {
            let (kind, name, id) = match &grant.grantee {
                Grantee::Account(id) => ("CanonicalUser", "ID", id),
                Grantee::Group(uri) => ("Group", "URI", uri),
            };
            let grantee = XmlNode::new("Grantee")
                .with_attribute("xmlns:xsi", XML_SCHEMA_INSTANCE)
                .with_attribute("xsi:type", kind)
                .with_text(name, id);
            XmlNode::new("Grant")
                .with_child(grantee)
                .with_text("Permission", &grant.permission)
        };
        XmlNode::new("AccessControlPolicy")
            .with_child(XmlNode::new("Owner").with_text("ID", owner))
            .with_child(XmlNode::new("AccessControlList").with_children(self.0.iter().map(grant)))
    }
}

/// A grantee of a header, such as `id="…"` or `uri="…"`.
fn parse_header_grantee(text: &str) -> Result<Grantee, AwsError> {
    let invalid = || AwsError::invalid_argument("Argument format not recognized");
    let (kind, value) = text.trim().split_once('=').ok_or_else(invalid)?;
    let value = value.trim_matches('"').to_owned();
    match kind {
        "id" => Ok(Grantee::Account(value)),
        "uri" => Ok(Grantee::Group(value)),
        _ => Err(invalid()),
    }
}

fn owner_id(call: &S3Call<'_>) -> Result<String, AwsError> {
    Ok(buckets::canonical_user_id(&call.bucket_state()?.account))
}

/// `GetBucketAcl`
pub(super) fn get(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let owner = owner_id(call)?;
    let config = call.visible_config()?;
    // Where ACLs are disabled, only the owner's is shown.
    let acl = config.acl.clone().filter(|_| config.allows_acls());
    let acl = acl.unwrap_or_else(|| BucketAcl::private(&owner));
    Ok(AwsResponse::s3_document(&acl.to_document(&owner)))
}

/// `PutBucketAcl`
pub(super) fn put(call: &mut S3Call<'_>) -> Result<AwsResponse, AwsError> {
    let owner = owner_id(call)?;
    let acl = match BucketAcl::from_headers(call.request, &owner)? {
        Some(acl) => acl,
        None if call.body.is_empty() => {
            let message = "Your request was missing a required header";
            return Err(AwsError::new(400, "MissingSecurityHeader", message));
        }
        None => BucketAcl::from_document(&call.parse_document("AccessControlPolicy")?)?,
    };
    if acl.grants_to_others(&owner) && !call.bucket_state()?.config.allows_acls() {
        return Err(object::acls_disabled());
    }
    if acl.is_public() && call.public_access_block(&call.bucket).block_public_acls {
        return Err(AwsError::access_denied("Access Denied"));
    }
    call.update_config(|config| config.acl = Some(acl))?;
    Ok(AwsResponse::empty(200))
}
