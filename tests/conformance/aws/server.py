#!/usr/bin/env python3
"""moto as a server, extended by what it lacks and trimtab depends on.

Usage: server.py LOG. It listens on a free port of the loopback interface, prints the variables that point an SDK at it,
and writes each request as a line of JSON to LOG.

It needs moto 5.1.22: the response of 5.2.5 to GetBucketVersioning has a root element that AWS does not use, and that the AWS
SDK for Rust rejects. What is added here:

| moto 5.1.22                                                     | AWS                       | here                        |
|-----------------------------------------------------------------|---------------------------|-----------------------------|
| Bucket policies are enforced without their conditions, so that  | only requests without TLS | statements with a condition |
| one that refuses requests without TLS refuses every object      | are refused               | are not enforced            |
| x-amz-expected-bucket-owner is ignored                          | 403 for another owner     | 403 for another owner       |
| AddClientID… and RemoveClientID… of a provider answer 500       | both are idempotent       | both are idempotent         |

Differences that are left alone, because trimtab must work with either behaviour:

| moto 5.1.22                                                     | AWS                                                   |
|-----------------------------------------------------------------|-------------------------------------------------------|
| Tags in CreateBucket are dropped                                | the bucket has them from its first moment             |
| A new bucket has no public access block and no encryption: 404  | all is blocked, and SSE-S3                            |
| ListRoles returns the trust policy as plain JSON                | percent-encoded                                       |
| Nothing is eventually consistent, and nothing is ever in the way| lists lag behind; 409 OperationAborted                |
| Trust policies, sessions and names of roles are not checked     | MalformedPolicyDocument, ValidationError              |
| A public policy is accepted whatever the public access block    | 403                                                   |
| A new bucket has the tags of the removed one of its name        | none                                                  |
| NewerNoncurrentVersions of a lifecycle rule is dropped          | kept; the manifests here do without                   |
"""
import json
import os
import sys
import threading
from urllib.parse import parse_qs

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.core.responses import EmptyResult
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.iam.responses import IamResponse
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT = "123456789012"
(log,) = sys.argv[1:]


# Bucket policies: a condition that moto cannot evaluate does not match.
judge = IAMPolicyStatement.is_action_permitted


def unconditional(statement, *arguments, **named):
    if statement._statement.get("Condition") and statement._statement.get("Principal"):
        return PermissionResult.NEUTRAL
    return judge(statement, *arguments, **named)


IAMPolicyStatement.is_action_permitted = unconditional


# The audiences of a provider.
def add_client_id(self):
    provider = self.backend.get_open_id_connect_provider(self._get_param("OpenIDConnectProviderArn"))
    audience = self._get_param("ClientID")
    if audience not in provider.client_id_list:
        provider.client_id_list.append(audience)
    return EmptyResult()


def remove_client_id(self):
    provider = self.backend.get_open_id_connect_provider(self._get_param("OpenIDConnectProviderArn"))
    audience = self._get_param("ClientID")
    provider.client_id_list[:] = [one for one in provider.client_id_list if one != audience]
    return EmptyResult()


IamResponse.add_client_id_to_open_id_connect_provider = add_client_id
IamResponse.remove_client_id_from_open_id_connect_provider = remove_client_id


class Front:
    """Logs requests, and checks the expected bucket owner."""

    def __init__(self, behind):
        self.behind, self.lock, self.log = behind, threading.Lock(), open(log, "a", buffering=1)

    def __call__(self, environ, start):
        owner = environ.get("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER")
        request = {
            "method": environ["REQUEST_METHOD"],
            "path": environ["PATH_INFO"],
            "query": sorted(parse_qs(environ["QUERY_STRING"], keep_blank_values=True)),
            "service": environ.get("HTTP_AUTHORIZATION", "////").split("/")[3],
            "by": environ.get("HTTP_USER_AGENT", ""),
            "owner": owner,
        }
        with self.lock:
            print(json.dumps(request), file=self.log)
        if owner not in (None, ACCOUNT):
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        return self.behind(environ, start)


class Quiet(WSGIRequestHandler):
    """Does not log successful requests."""

    def log_request(self, *_):
        pass


server = make_server(
    "127.0.0.1", 0, Front(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=Quiet
)
print(f"export AWS_ENDPOINT_URL=http://127.0.0.1:{server.port}")
print("export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=secret AWS_DEFAULT_REGION=us-east-1", flush=True)
server.serve_forever()
