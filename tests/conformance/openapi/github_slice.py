#!/usr/bin/env python3
"""Cuts the operations that the sandbox imitates out of GitHub's OpenAPI description, with all that they refer to.

Usage: github_slice.py DESCRIPTION > github.json

The description is generated/api.github.com.json of the npm package @octokit/openapi 23.0.2 (MIT). Examples are left out:
the whole description has 13 MB.
"""
import json
import sys

REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS = """
GET /user
GET /rate_limit
GET R
GET POST R/issues
GET PATCH R/issues/{issue_number}
GET POST R/issues/{issue_number}/comments
GET PATCH DELETE R/issues/comments/{comment_id}
GET POST R/labels
GET R/labels/{name}
GET R/pulls
GET R/pulls/{pull_number}
GET R/commits/{ref}
GET R/commits/{commit_sha}/pulls
GET R/commits/{ref}/check-runs
GET R/branches/{branch}
GET R/compare/{basehead}
GET R/contents/{path}
POST R/statuses/{sha}
POST R/check-runs
PATCH R/check-runs/{check_run_id}
GET POST R/deployments
GET DELETE R/deployments/{deployment_id}
GET POST R/deployments/{deployment_id}/statuses
GET R/environments
GET DELETE R/environments/{environment_name}
GET R/environments/{environment_name}/deployment-branch-policies
GET R/environments/{environment_name}/secrets
GET R/environments/{environment_name}/variables
GET R/actions/workflows
GET R/actions/workflows/{workflow_id}
PUT R/actions/workflows/{workflow_id}/enable
PUT R/actions/workflows/{workflow_id}/disable
POST R/actions/workflows/{workflow_id}/dispatches
GET R/actions/workflows/{workflow_id}/runs
GET R/actions/runs
GET R/actions/runs/{run_id}
GET R/actions/secrets
GET R/actions/organization-secrets
GET R/actions/variables
GET R/actions/organization-variables
GET PUT R/actions/oidc/customization/sub
GET R/actions/permissions
GET R/actions/permissions/selected-actions
GET R/actions/permissions/workflow
GET R/rules/branches/{branch}
"""
# What says nothing about a request or a response.
LEFT_OUT = ("x-github", "x-octokit", "externalDocs", "tags", "operationId", "summary")


def operations():
    """Each operation: method and path."""
    for line in OPERATIONS.split("\n"):
        *methods, path = line.split() or [""]
        for method in methods:
            yield method.lower(), REPOSITORY + path[1:] if path.startswith("R") else path


def without_examples(value, is_properties=False):
    """A copy without examples and descriptions. A property may be called `example` as well."""
    if isinstance(value, list):
        return [without_examples(item) for item in value]
    if not isinstance(value, dict):
        return value
    skipped = () if is_properties else (*LEFT_OUT, "example", "examples", "description")
    kept = {name: without_examples(item, name == "properties" and not is_properties) for name, item in value.items()
            if name not in skipped}
    # Responses must have a description.
    if not is_properties and "description" in value and ("content" in value or set(value) <= {"description", "headers"}):
        kept["description"] = ""
    return kept


def references(value):
    """The components that a part refers to."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)


def main() -> None:
    """Reads the description and prints the slice."""
    with open(sys.argv[1], encoding="utf-8") as file:
        whole = json.load(file)
    paths: dict = {}
    for method, path in operations():
        paths.setdefault(path, {})[method] = without_examples(whole["paths"][path][method])
    components: dict = {}
    waiting = list(references(paths))
    while waiting:
        _, _, kind, name = waiting.pop().split("/")
        if name not in components.setdefault(kind, {}):
            part = without_examples(whole["components"][kind][name])
            components[kind][name] = part
            waiting.extend(references(part))
    components = {kind: dict(sorted(parts.items())) for kind, parts in sorted(components.items())}
    info = {"title": "A part of GitHub's OpenAPI description", "version": whole["info"]["version"],
            "license": {"name": "MIT"}}
    print(json.dumps({"openapi": whole["openapi"], "info": info, "servers": [{"url": "https://api.github.com"}],
                      "paths": paths, "components": components}, separators=(",", ":"), ensure_ascii=False))


if __name__ == "__main__":
    main()
