#!/usr/bin/env python3
"""Reads what trimtab has created with the AWS SDK for Python, and compares it with values that were written by hand.

Usage: readback.py WHAT [ARGUMENT…]. Prints one line for each check; on failure with the reason, and exits with 1. The
values of WHAT are at the end of the file. Endpoints and credentials come from the standard AWS variables.
"""
import json
import sys

import boto3
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1f0c2d3e-0000-4000-8000-123456789abc"
BOUNDS = f"arn:aws:iam::{ACCOUNT}:policy/bounds"
EXTRA = f"arn:aws:iam::{ACCOUNT}:policy/extra"
VIEW = "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"
NOTHING_PUBLIC = dict.fromkeys(
    ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"], True
)
iam = boto3.client("iam")
s3 = boto3.client("s3")


def same(what, there, wanted):
    assert there == wanted, f"{what}:\n  there   {json.dumps(there, default=str)}\n  wanted  {json.dumps(wanted)}"


def absent(code, call, **arguments):
    """The response of AWS, or None for this error code."""
    try:
        return call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None


def tags(listed):
    return {tag["Key"]: tag["Value"] for tag in listed}


def mark(project, environment, name, own=None, **more):
    """The tags of everything that trimtab creates, with those of the manifest and the tag that lists their keys."""
    all = {"trimtab_project": project, "trimtab_environment": environment, "trimtab_name": name} | more
    return all | own | {"trimtab_tags": " ".join(sorted(own))} if own else all


def tls_only(name):
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def everywhere(value):
    """A policy document in a normal form: sorted lists, single values as lists of strings."""
    if isinstance(value, dict):
        return {key: everywhere(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inner = [everywhere(one) for one in value]
        return sorted(inner, key=json.dumps) if len(inner) != 1 else inner[0]
    return str(value).lower() if isinstance(value, bool) else str(value)


def rule(name, prefix="", status="Enabled", **what):
    return {"ID": name, "Filter": {"Prefix": prefix}, "Status": status, **what}


UPLOADS = rule("trimtab-uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 7})
LOCKS = rule("trimtab-locks", ".trimtab/", NoncurrentVersionExpiration={"NoncurrentDays": 1})


def bucket(name, *, region, wanted_tags, encryption=("AES256", None, False), public=NOTHING_PUBLIC,
           ownership="BucketOwnerEnforced", versioning="Enabled", rules=(UPLOADS,), statements=()):
    """Every setting of a bucket."""
    same("region", s3.head_bucket(Bucket=name)["BucketRegion"], region)
    (default,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    apply = default["ApplyServerSideEncryptionByDefault"]
    there = (apply["SSEAlgorithm"], apply.get("KMSMasterKeyID"), default["BucketKeyEnabled"])
    same("encryption", there, encryption)
    block = s3.get_public_access_block(Bucket=name) if public else absent(
        "NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=name)
    off = dict.fromkeys(NOTHING_PUBLIC, False)
    same("public access block", block["PublicAccessBlockConfiguration"] if block else off, public or off)
    controls = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]
    same("ownership", controls, {"Rules": [{"ObjectOwnership": ownership}]})
    same("versioning", s3.get_bucket_versioning(Bucket=name).get("Status"), versioning)
    life = absent("NoSuchLifecycleConfiguration", s3.get_bucket_lifecycle_configuration, Bucket=name)
    there = sorted(life["Rules"] if life else [], key=lambda rule: rule["ID"])
    same("lifecycle", there, sorted(rules, key=lambda rule: rule["ID"]))
    policy = absent("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=name)
    wanted = everywhere(document(*statements)) if statements else None
    same("policy", everywhere(json.loads(policy["Policy"])) if policy else None, wanted)
    same("tags", tags(s3.get_bucket_tagging(Bucket=name)["TagSet"]), wanted_tags)


def role(name, *, path, trust, policies, wanted_tags, description, boundary=None, session=3600, managed=()):
    """Every setting of a role."""
    there = iam.get_role(RoleName=name)["Role"]
    same("ARN", there["Arn"], f"arn:aws:iam::{ACCOUNT}:role{path}{name}")
    same("path", there["Path"], path)
    same("description", there.get("Description"), description)
    same("trust", everywhere(there["AssumeRolePolicyDocument"]), everywhere(trust))
    same("session", there["MaxSessionDuration"], session)
    same("boundary", there.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"), boundary)
    same("tags", tags(there.get("Tags", [])), wanted_tags)
    names = iam.list_role_policies(RoleName=name)["PolicyNames"]
    inline = {one: iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in names}
    same("policies", everywhere(inline), everywhere(policies))
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    same("managed policies", sorted(one["PolicyArn"] for one in attached), sorted(managed))


def provider(org):
    """The identity provider of a Fly organization."""
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.fly.io/{org}"
    there = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    same("URL", there["Url"], f"oidc.fly.io/{org}")
    same("audiences", there["ClientIDList"], ["sts.amazonaws.com"])
    same("tags", tags(there["Tags"]), {"trimtab_shared": "true"})


def fly_trust(org, app):
    """The trust policy of a role: the machines of one app, as Fly's OpenID Connect documentation names them."""
    return document({
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.fly.io/{org}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {f"oidc.fly.io/{org}:aud": "sts.amazonaws.com"},
            "StringLike": {f"oidc.fly.io/{org}:sub": f"{org}:{app}:*"},
        },
    })


def allow(sid, actions, resource, **condition):
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def not_locks(sid, bucket):
    """Whoever may access a whole bucket may not access the locks."""
    return {"Sid": sid, "Effect": "Deny", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/.trimtab/*"}


READ_WRITE = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
LIST = ["s3:ListBucket", "s3:GetBucketLocation"]
USE_KEY = ["kms:Decrypt", "kms:GenerateDataKey"]


def ledger(org):
    """tests/manifests/ledger: the defaults."""
    name = f"ledger-production-backups-{ACCOUNT}"
    expire = rule("old-backups", "ledger/", Expiration={"Days": 30}, NoncurrentVersionExpiration={"NoncurrentDays": 7})
    bucket(name, region="us-east-1", wanted_tags=mark("ledger", "production", "backups"),
           rules=[UPLOADS, LOCKS, expire], statements=[tls_only(name)])
    role("ledger-production-backup", path="/trimtab/ledger/production/",
         description="The app app on Fly.io, managed by trimtab",
         trust=fly_trust(org, "ledger-app-production"), wanted_tags=mark("ledger", "production", "backup"),
         policies={"access": document(
             allow("BackupsList", "s3:ListBucket", f"arn:aws:s3:::{name}", StringLike={"s3:prefix": "ledger/*"}),
             allow("BackupsRegion", "s3:GetBucketLocation", f"arn:aws:s3:::{name}"),
             allow("BackupsObjects", READ_WRITE, f"arn:aws:s3:::{name}/ledger/*"))})
    provider(org)


def archive():
    """KMS with an ARN, statements, transitions, tags, protection, and the lock."""
    name = f"vault-production-archive-{ACCOUNT}"
    auditor = f"arn:aws:iam::{ACCOUNT}:role/trimtab/vault/production/vault-production-auditor"
    cold = rule("cold", "archive/", Expiration={"Days": 3650}, NoncurrentVersionExpiration={"NoncurrentDays": 30},
                Transitions=[{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER_IR"},
                             {"Days": 180, "StorageClass": "DEEP_ARCHIVE"}])
    markers = rule("markers", Expiration={"ExpiredObjectDeleteMarker": True})
    later = rule("later", "later/", "Disabled", Expiration={"Days": 1})
    bucket(name, region="eu-central-1", encryption=("aws:kms", KEY, True), rules=[UPLOADS, LOCKS, cold, markers, later],
           wanted_tags=mark("vault", "production", "archive", trimtab_protected="true",
                            own={"team": "storage", "cost:center": "42 / archive"}),
           statements=[
               tls_only(name),
               {"Sid": "Auditor", "Effect": "Allow", "Principal": {"AWS": auditor},
                "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]},
               {"Sid": "OnlyThisKey", "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{name}/*",
                "Condition": {
                    "StringNotEqualsIfExists": {"s3:x-amz-server-side-encryption-aws-kms-key-id": KEY},
                    "Null": {"s3:x-amz-server-side-encryption": False}}},
           ])


def uploads():
    """KMS with an alias and without a bucket key, in another region."""
    name = f"vault-production-uploads-{ACCOUNT}"
    bucket(name, region="us-east-1", encryption=("aws:kms", "alias/vault", False), ownership="BucketOwnerPreferred",
           wanted_tags=mark("vault", "production", "uploads"), statements=[tls_only(name)],
           rules=[rule("trimtab-uploads", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})])


def scratch():
    """Every setting that can be off."""
    bucket("vault-scratch", region="eu-central-1", public=None, ownership="ObjectWriter", versioning=None, rules=(),
           wanted_tags=mark("vault", "production", "scratch"))


def identities():
    """Two identities: grants with prefixes, with KMS keys, with an alias."""
    common = {"path": "/trimtab/vault/production/", "boundary": BOUNDS}
    archive, uploads = f"arn:aws:s3:::vault-production-archive-{ACCOUNT}", f"arn:aws:s3:::vault-production-uploads-{ACCOUNT}"
    alias = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"},
             "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/vault"}}
    role("vault-production-web", **common, session=7200, description="The app web on Fly.io, managed by trimtab",
         trust=fly_trust("acme", "vault-web-production"),
         wanted_tags=mark("vault", "production", "web", own={"team": "web"}),
         policies={"access": document(
             allow("ArchiveList", "s3:ListBucket", archive, StringLike={"s3:prefix": "archive/*"}),
             allow("ArchiveRegion", "s3:GetBucketLocation", archive),
             allow("ArchiveObjects", READ_WRITE, f"{archive}/archive/*"),
             allow("ArchiveKey", USE_KEY, KEY, StringEquals={"kms:ViaService": "s3.eu-central-1.amazonaws.com"}),
             allow("UploadsObjects", ["s3:PutObject", "s3:AbortMultipartUpload"], f"{uploads}/from web/*"),
             allow("UploadsKey", USE_KEY, "*", **alias))})
    role("vault-production-worker", **common, description="The app worker on Fly.io, managed by trimtab",
         trust=fly_trust("acme", "vault-worker-production"), wanted_tags=mark("vault", "production", "worker"),
         policies={"access": document(
             allow("ScratchList", LIST, "arn:aws:s3:::vault-scratch"),
             allow("ScratchObjects", READ_WRITE, "arn:aws:s3:::vault-scratch/*"),
             not_locks("ScratchNotLocks", "vault-scratch"),
             allow("UploadsList", LIST, uploads),
             allow("UploadsObjects", [*READ_WRITE, "s3:DeleteObject"], f"{uploads}/*"),
             not_locks("UploadsNotLocks", f"vault-production-uploads-{ACCOUNT}"),
             allow("UploadsKey", USE_KEY, "*", **alias))})


def roles():
    """Roles in AWS's terms: trust, policies, managed policies, a boundary, a long session, tags."""
    common = {"path": "/trimtab/vault/production/", "boundary": BOUNDS}
    role("vault-production-auditor", **common, session=43200, managed=[EXTRA, VIEW],
         description="Reads what the others wrote, and says so",
         wanted_tags=mark("vault", "production", "auditor", trimtab_protected="true",
                          own={"audit/kind": "yearly + spot", "owner": "someone@example.com"}),
         trust={"Version": "2012-10-17", "Id": "who", "Statement": [{
             "Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole",
             "Condition": {"Bool": {"aws:MultiFactorAuthPresent": True},
                           "NumericLessThan": {"aws:MultiFactorAuthAge": 3600}}}]},
         policies={
             "read": document({"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"],
                               "Resource": "arn:aws:s3:::vault-*",
                               "Condition": {"StringLike": {"s3:prefix": ["archive/*", "a b/ü+%/*"]}}}),
             "never": document({"Effect": "Deny", "NotAction": "s3:Get*", "Resource": "*"})})
    role("vault-production-deployer", **common, description="Managed by trimtab", policies={},
         trust=fly_trust("acme", "vault-worker-production"), wanted_tags=mark("vault", "production", "deployer"))


def shared():
    """The provider that both environments of an organization use."""
    provider("acme")


def staging():
    """Another environment of the same project."""
    name = f"vault-staging-archive-{ACCOUNT}"
    bucket(name, region="eu-central-1", wanted_tags=mark("vault", "staging", "archive"), rules=[UPLOADS, LOCKS],
           statements=[tls_only(name)])
    role("vault-staging-web", path="/trimtab/vault/staging/", description="The app web on Fly.io, managed by trimtab",
         trust=fly_trust("acme", "vault-web-staging"), wanted_tags=mark("vault", "staging", "web"),
         policies={"access": document(
             allow("ArchiveList", LIST, f"arn:aws:s3:::{name}"),
             allow("ArchiveObjects", READ_WRITE, f"arn:aws:s3:::{name}/*"), not_locks("ArchiveNotLocks", name))})


def gone(project, environment):
    """Nothing of an environment is left."""
    ours = lambda there: there.get("trimtab_project") == project and there.get("trimtab_environment") == environment
    for one in s3.list_buckets()["Buckets"]:
        there = absent("NoSuchTagSet", s3.get_bucket_tagging, Bucket=one["Name"])
        assert not ours(tags(there["TagSet"] if there else [])), f"bucket {one['Name']} is left"
    for one in iam.list_roles(PathPrefix="/")["Roles"]:
        assert one["Path"] != f"/trimtab/{project}/{environment}/", f"role {one['RoleName']} is left"


def empty(*names):
    """Deletes every version of every object, as a person must before a bucket can be deleted."""
    for name in names:
        there = s3.list_object_versions(Bucket=name)
        for one in [*there.get("Versions", []), *there.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])


def owners(log):
    """Every bucket request of trimtab names the account that must own the bucket."""
    seen = [json.loads(line) for line in open(log)]
    seen = [one for one in seen if one["service"] == "s3" and "rust" in one["by"].lower()]
    assert len(seen) > 100, f"only {len(seen)} requests are known"
    # ListBuckets and CreateBucket do not have the parameter.
    made = lambda one: one["method"] == "PUT" and one["query"] == [] and "/" not in one["path"].strip("/")
    free = lambda one: one["path"] == "/" or made(one)
    bare = {f"{one['method']} {one['path']} {one['query']}" for one in seen if not one["owner"] and not free(one)}
    assert not bare, f"without an owner: {sorted(bare)}"


def nothing():
    """The account has nothing but what existed before."""
    same("buckets", [one["Name"] for one in s3.list_buckets()["Buckets"]], [])
    same("roles", [one["RoleName"] for one in iam.list_roles()["Roles"]], [])
    same("providers", iam.list_open_id_connect_providers()["OpenIDConnectProviderList"], [])
    policies = iam.list_policies(Scope="Local")["Policies"]
    assert all(one["AttachmentCount"] == 0 for one in policies), "a managed policy is still attached"


CHECKS = {
    "ledger": [ledger],
    "vault production": [archive, uploads, scratch, identities, roles, shared],
    "vault staging": [staging, shared],
    "gone": [gone],
    "owners": [owners],
    "nothing": [nothing],
}

if __name__ == "__main__":
    what, arguments = sys.argv[1], sys.argv[2:]
    failed = 0
    for check in CHECKS[what]:
        about = f"boto3 reads {what}: {check.__doc__.splitlines()[0].rstrip('.')}"
        try:
            check(*arguments)
        except (AssertionError, ClientError, KeyError, ValueError) as error:
            print(f"FAIL  {about}: {type(error).__name__}: {error}")
            failed += 1
        else:
            print(f"ok    {about}")
    sys.exit(failed > 0)
