#!/usr/bin/env python3
"""Checks the policies that trimtab writes against AWS's published list of actions, resources and conditions, with the
linter parliament: those for trimtab's own credentials, and those of identities.

Usage: policies.py TRIMTAB ENVIRONMENTS. It expects tests/conformance/aws/environments applied.
"""
import json
import subprocess
import sys

import parliament

from readback import iam

trimtab, environments = sys.argv[1:]


def findings(document):
    found = parliament.analyze_policy_string(json.dumps(document)).findings
    return sorted(f"{one.issue} {json.dumps(one.detail)}" for one in found if not known(one))


def known(finding):
    """Whether a finding of parliament is intended."""
    return finding.issue in (
        # List actions have no other resource than `*`, and a KMS alias is no resource of a policy.
        "RESOURCE_STAR",
        # Whoever may set a bucket's policy can grant himself access to its objects. That is known, and why `plan` has a
        # policy of its own.
        "RESOURCE_POLICY_PRIVILEGE_ESCALATION",
        # AWS's own examples compare the ARN of a boundary as a string.
        "MISMATCHED_TYPE_BUT_USABLE",
        # AWS documents this condition key for every operation on a key; parliament's list is older.
    ) or "kms:ResourceAliases" in str(finding.detail)


def permissions(environment, purpose):
    command = [trimtab, "permissions", environment, "--for", purpose, "--environments", environments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


failed = 0
documents = {
    f"permissions of {environment} for {purpose}": permissions(environment, purpose)
    for environment in ("production", "staging") for purpose in ("plan", "apply", "destroy")
}
for role in ("vault-production-web", "vault-production-worker", "vault-staging-web"):
    documents[f"grants of {role}"] = iam.get_role_policy(RoleName=role, PolicyName="access")["PolicyDocument"]
documents["a wrong action"] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetBucketEncryption", "Resource": "arn:aws:s3:::b"}],
}
for about, document in documents.items():
    found = findings(document)
    # Shows that the linter finds something.
    if bool(found) == (about == "a wrong action"):
        print(f"ok    parliament {'refuses' if found else 'accepts'} {about}")
    else:
        print(f"FAIL  parliament on {about}: {found}")
        failed += 1
sys.exit(failed > 0)
