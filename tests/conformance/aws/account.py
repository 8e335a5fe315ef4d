#!/usr/bin/env python3
"""Creates what others have in the account before trimtab is used, with the AWS SDK for Python.

Usage: account.py FUNCTION [NAME…], with one of the functions below.
"""
import json
import sys

from readback import empty, iam, s3


def policy(name):
    """A customer-managed policy."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))


def bucket(name, region):
    """A bucket without ownership tags."""
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    # moto keeps the tags of a deleted bucket of the same name.
    s3.delete_bucket_tagging(Bucket=name)


def provider(org):
    """An identity provider without ownership tags."""
    iam.create_open_id_connect_provider(Url=f"https://oidc.fly.io/{org}", ClientIDList=["sts.amazonaws.com"])


def write(name, key):
    """An object."""
    s3.put_object(Bucket=name, Key=key, Body=b"x")


def there(kind, name):
    """Asserts that something exists."""
    if kind == "bucket":
        s3.head_bucket(Bucket=name)
    else:
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=f"arn:aws:iam::123456789012:oidc-provider/{name}")


def remove(kind, name):
    """Deletes what was created above."""
    if kind == "bucket":
        empty(name)
        s3.delete_bucket(Bucket=name)
    else:
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=f"arn:aws:iam::123456789012:oidc-provider/{name}")


DEEDS = {deed.__name__: deed for deed in (policy, bucket, provider, write, empty, there, remove)}

if __name__ == "__main__":
    DEEDS[sys.argv[1]](*sys.argv[2:])
