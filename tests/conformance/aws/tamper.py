#!/usr/bin/env python3
"""Makes changes behind trimtab's back with the AWS SDK for Python, and checks that `drift` reports and `apply` repairs them.

Usage: tamper.py TRIMTAB ENVIRONMENTS. It expects tests/conformance/aws/environments/production.toml applied.
"""
import json
import subprocess
import sys

from readback import ACCOUNT, EXTRA, KEY, iam, s3

trimtab, environments = sys.argv[1:]
ARCHIVE = f"vault-production-archive-{ACCOUNT}"
UPLOADS = f"vault-production-uploads-{ACCOUNT}"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.fly.io/acme"
AUDITOR, WEB = "vault-production-auditor", "vault-production-web"


def run(command, *arguments, code):
    """The output of trimtab, after it has exited with this code."""
    done = subprocess.run(
        [trimtab, command, "production", "--environments", environments, *arguments], capture_output=True, text=True
    )
    assert done.returncode == code, f"{command} ended with {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
    return done.stdout


def drift(code):
    """What drift reports: addresses with the paths that differ. A plan must report the same."""
    def lines(text):
        return {(change["verb"], change["address"], line["path"]) for change in json.loads(text)["changes"]
                for line in change["attributes"]}
    found = lines(run("drift", "--format", "json", code=code))
    assert lines(run("plan", "--format", "json", code=0)) == found, "plan and drift differ"
    return found


def policy_of(bucket):
    return json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])


def put_policy(bucket, document):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document, indent=1))


def rules_of(bucket):
    return s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]


def put_rules(bucket, rules):
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def put_tags(bucket, change):
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    change(tags)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags.items()]})


def default_encryption(algorithm, **more):
    apply = {"SSEAlgorithm": algorithm, **more}
    config = {"Rules": [{"ApplyServerSideEncryptionByDefault": apply, "BucketKeyEnabled": algorithm != "AES256"}]}
    s3.put_bucket_encryption(Bucket=ARCHIVE, ServerSideEncryptionConfiguration=config)


def inline(role, policy, change):
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    change(document)
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))


def other_form(document):
    """The same policy in another form: reversed lists, single values as lists, actions in another case."""
    def turn(value):
        if isinstance(value, list):
            return [turn(one) for one in reversed(value)]
        if isinstance(value, dict):
            return {key: turn(value[key]) for key in reversed(value)}
        return value
    document = turn(document)
    if isinstance(document["Statement"], dict):
        document["Statement"] = [document["Statement"]]
    for statement in document["Statement"]:
        for key in ("Action", "Resource"):
            if isinstance(statement.get(key), str):
                statement[key] = [statement[key]]
        if "Action" in statement:
            statement["Action"] = [
                "s3:" + action[3:].upper() if action.startswith("s3:") else action for action in statement["Action"]]
    return document


def trust_in_other_form():
    for role in (AUDITOR, WEB):
        document = other_form(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])
        for statement in document["Statement"]:
            if statement["Principal"].get("AWS") == ACCOUNT:
                # AWS itself turns an account number into this ARN.
                statement["Principal"] = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
            if "Bool" in statement["Condition"]:
                statement["Condition"]["Bool"] = {"AWS:multifactorauthpresent": "true"}
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))


def old_filters():
    """Rules with the prefix in the legacy place, which S3 returns as it was written."""
    rules = rules_of(ARCHIVE)
    for rule in rules:
        rule["Prefix"] = rule.pop("Filter")["Prefix"]
        rule["Transitions"] = list(reversed(rule.get("Transitions", []))) or None
    put_rules(ARCHIVE, [{key: value for key, value in rule.items() if value} | {"Prefix": rule["Prefix"]}
                        for rule in reversed(rules)])


def wider(statements, action):
    for statement in statements:
        if isinstance(statement["Action"], list):
            statement["Action"].append(action)
            return
    raise AssertionError("no statement has several actions")


BUCKET, ROLE = "aws.bucket/archive", "aws.role/"
# The changes, and what must be reported: addresses with paths, or prefixes of paths.
CHANGES = {
    "the public access block is removed": (
        lambda: s3.delete_public_access_block(Bucket=ARCHIVE),
        {(BUCKET, f"public_access_block.{one}") for one in (
            "block_public_acls", "ignore_public_acls", "block_public_policy", "restrict_public_buckets")}),
    "one switch of the public access block is off": (
        lambda: s3.put_public_access_block(Bucket=ARCHIVE, PublicAccessBlockConfiguration={
            "BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False,
            "RestrictPublicBuckets": True}),
        {(BUCKET, "public_access_block.block_public_policy")}),
    "versioning is suspended": (
        lambda: s3.put_bucket_versioning(Bucket=ARCHIVE, VersioningConfiguration={"Status": "Suspended"}),
        {(BUCKET, "versioning")}),
    "ACLs are on again": (
        lambda: s3.put_bucket_ownership_controls(
            Bucket=ARCHIVE, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}),
        {(BUCKET, "ownership")}),
    "the ownership is not stated any more": (
        lambda: s3.delete_bucket_ownership_controls(Bucket=ARCHIVE), {(BUCKET, "ownership")}),
    "the encryption is S3's own": (
        lambda: default_encryption("AES256"),
        {(BUCKET, "encryption.algorithm"), (BUCKET, "encryption.kms_key"), (BUCKET, "encryption.bucket_key")}),
    "the encryption has another key": (
        lambda: default_encryption("aws:kms", KMSMasterKeyID=KEY[:-1] + "d"), {(BUCKET, "encryption.kms_key")}),
    "the lifecycle has one more rule": (
        lambda: put_rules(ARCHIVE, [*rules_of(ARCHIVE), {
            "ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 1}}]),
        {(BUCKET, "lifecycle.theirs")}),
    "a rule of the lifecycle is for tags": (
        lambda: put_rules(ARCHIVE, [rule if rule["ID"] != "markers" else rule | {
            "Filter": {"And": {"Prefix": "", "Tags": [{"Key": "a", "Value": "b"}]}}} for rule in rules_of(ARCHIVE)]),
        {(BUCKET, "lifecycle.markers.tags")}),
    "the lifecycle is removed": (
        lambda: s3.delete_bucket_lifecycle(Bucket=ARCHIVE),
        {(BUCKET, f"lifecycle.{one}") for one in ("cold", "later", "markers", "trimtab-locks", "trimtab-uploads")}),
    "the policy is removed": (lambda: s3.delete_bucket_policy(Bucket=ARCHIVE), {(BUCKET, "policy…")}),
    "the policy lets one more read": (
        lambda: put_policy(ARCHIVE, (lambda it: it | {"Statement": [*it["Statement"], {
            "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{ARCHIVE}/*"}]})(policy_of(ARCHIVE))),
        {(BUCKET, "policy…")}),
    "a statement of the policy allows what it denied": (
        lambda: put_policy(ARCHIVE, json.loads(json.dumps(policy_of(ARCHIVE)).replace("Deny", "Allow"))),
        {(BUCKET, "policy…")}),
    "tags of a bucket are removed and changed": (
        lambda: put_tags(ARCHIVE, lambda tags: (tags.pop("team"), tags.update({"cost:center": "43"}))),
        {(BUCKET, "tags.team"), (BUCKET, "tags.cost:center")}),
    "an action is added to an identity": (
        lambda: inline(WEB, "access", lambda it: wider(it["Statement"], "s3:DeleteObjectVersion")),
        {(f"{ROLE}web", "policy.access…")}),
    "a condition of an identity is gone": (
        lambda: inline(WEB, "access", lambda it: [one.pop("Condition", None) for one in it["Statement"]]),
        {(f"{ROLE}web", "policy.access…")}),
    "a role has one more policy": (
        lambda: iam.put_role_policy(RoleName=WEB, PolicyName="theirs", PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})),
        {(f"{ROLE}web", "policy.theirs…")}),
    "a policy of a role is removed": (
        lambda: iam.delete_role_policy(RoleName=AUDITOR, PolicyName="never"), {(f"{ROLE}auditor", "policy.never…")}),
    "a managed policy is detached": (
        lambda: iam.detach_role_policy(RoleName=AUDITOR, PolicyArn=EXTRA), {(f"{ROLE}auditor", "managed_policies")}),
    "anybody may take a role": (
        lambda: iam.update_assume_role_policy(RoleName=WEB, PolicyDocument=json.dumps(
            {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]})),
        {(f"{ROLE}web", "trust…")}),
    "the permissions boundary is removed": (
        lambda: iam.delete_role_permissions_boundary(RoleName=WEB), {(f"{ROLE}web", "permissions_boundary")}),
    "session and description of a role are others": (
        lambda: iam.update_role(RoleName=AUDITOR, MaxSessionDuration=3600, Description="theirs"),
        {(f"{ROLE}auditor", "max_session_duration"), (f"{ROLE}auditor", "description")}),
    "a tag of a role is removed": (
        lambda: iam.untag_role(RoleName=AUDITOR, TagKeys=["owner"]), {(f"{ROLE}auditor", "tags.owner")}),
    "the protection of a role is removed": (
        lambda: iam.untag_role(RoleName=AUDITOR, TagKeys=["trimtab_protected"]),
        {(f"{ROLE}auditor", "tags.trimtab_protected")}),
    "the provider's tokens are not for AWS any more": (
        lambda: iam.remove_client_id_from_open_id_connect_provider(
            OpenIDConnectProviderArn=PROVIDER, ClientID="sts.amazonaws.com"),
        {("aws.oidc_provider/fly", "audience")}),
}
# Changes of form only, or of what others own: nothing may be reported.
FORMS = {
    "the policy of a bucket in another form": lambda: put_policy(ARCHIVE, other_form(policy_of(ARCHIVE))),
    "the policies of roles in another form": lambda: [
        inline(role, policy, lambda it: it.update(other_form(it)))
        for role, policy in ((WEB, "access"), (AUDITOR, "read"), (AUDITOR, "never"))],
    "who may take a role in another form": trust_in_other_form,
    "the lifecycle in another order and form": old_filters,
    "a bucket key where there is no KMS": lambda: s3.put_bucket_encryption(
        Bucket="vault-scratch", ServerSideEncryptionConfiguration={"Rules": [
            {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]}),
    "tags of somebody else": lambda: (
        put_tags(ARCHIVE, lambda tags: tags.update({"audit": "yes"})),
        iam.tag_role(RoleName=AUDITOR, Tags=[{"Key": "audit", "Value": "yes"}])),
    "an audience of somebody else": lambda: iam.add_client_id_to_open_id_connect_provider(
        OpenIDConnectProviderArn=PROVIDER, ClientID="theirs"),
    "a public access block that says what its absence says": lambda: s3.put_public_access_block(
        Bucket="vault-scratch", PublicAccessBlockConfiguration=dict.fromkeys(
            ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"], False)),
}


def changed(change, expected):
    """Every difference is reported, and nothing else; `apply` repairs it."""
    change()
    found = drift(2)
    def fits(line, one):
        (_, address, path), (wanted, begins) = line, one
        return address == wanted and (path.startswith(begins[:-1]) if begins.endswith("…") else path == begins)
    for one in expected:
        assert any(fits(line, one) for line in found), f"{one} is not found among {sorted(found)}"
    for line in found:
        assert any(fits(line, one) or line[2] == "grants" for one in expected), f"{line} is found, and was not touched"
    run("apply", "--yes", code=0)
    assert drift(0) == set()


def formed(change):
    """Differences of form are not reported, and not changed."""
    change()
    found = drift(0)
    assert found == set(), f"{sorted(found)} is found"


failed = 0
for about, check, arguments in [
    *((f"{what}: found, and mended", changed, arguments) for what, arguments in CHANGES.items()),
    *((f"{what}: not taken for a change", formed, (change,)) for what, change in FORMS.items()),
]:
    try:
        check(*arguments)
    except Exception as error:
        print(f"FAIL  {about}: {type(error).__name__}: {error}")
        failed += 1
        # Undo what was not reported, so that it does not affect the next check.
        subprocess.run([trimtab, "apply", "production", "--yes", "--environments", environments], capture_output=True)
    else:
        print(f"ok    {about}", flush=True)
iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=PROVIDER, ClientID="theirs")
sys.exit(failed > 0)
