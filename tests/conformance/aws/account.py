#!/usr/bin/env python3
"""What somebody else does in the account, with AWS's own client for Python: what is there before trimtab comes.

Usage: account.py DEED [NAME…]; the deeds are the functions below.
"""
import json
import sys

from readback import empty, iam, s3


def policy(name):
    """A managed policy of the account's own."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))


def bucket(name, region):
    """A bucket that bears nobody's mark."""
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    # moto gives it the tags of the last one of this name.
    s3.delete_bucket_tagging(Bucket=name)


def provider(org):
    """An identity provider that bears nobody's mark."""
    iam.create_open_id_connect_provider(Url=f"https://oidc.fly.io/{org}", ClientIDList=["sts.amazonaws.com"])


def write(name, key):
    """An object."""
    s3.put_object(Bucket=name, Key=key, Body=b"x")


def there(kind, name):
    """That something is there."""
    if kind == "bucket":
        s3.head_bucket(Bucket=name)
    else:
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=f"arn:aws:iam::123456789012:oidc-provider/{name}")


def remove(kind, name):
    """Takes away what was made above."""
    if kind == "bucket":
        empty(name)
        s3.delete_bucket(Bucket=name)
    else:
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=f"arn:aws:iam::123456789012:oidc-provider/{name}")


DEEDS = {deed.__name__: deed for deed in (policy, bucket, provider, write, empty, there, remove)}

if __name__ == "__main__":
    DEEDS[sys.argv[1]](*sys.argv[2:])
