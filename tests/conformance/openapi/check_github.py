#!/usr/bin/env python3
"""Holds recorded exchanges with the imitation of GitHub to GitHub's OpenAPI description, with openapi-core.

Usage: check_github.py DESCRIPTION DEVIATIONS RECORD...

As check.py does for Fly: every request of trimtab must match the description, and so must every request that the sandbox
accepts, and every response. Unknown properties, parameters, bodies and statuses are deviations too. Every deviation must
be listed in DEVIATIONS, and every listed one must occur.
"""
import collections
import json
import sys
import tomllib
from urllib.parse import unquote

import check
from jsonschema_path import SchemaPath
from openapi_core import V30RequestValidator, V30ResponseValidator

MOUNT = "/github"
# What octokit and curl send besides, and what GitHub documents in prose.
ORDINARY = check.ORDINARY | {"x-github-api-version", "if-none-match", "connection", "accept-language", "sec-fetch-mode"}
# The parameters that an answer's own links to other pages carry.
REPOSITORIES = "/repositories/"


class Description(check.Document):
    """GitHub's description, and a strict copy of it."""

    def __init__(self, path: str):
        with open(path, encoding="utf-8") as file:
            self.text = json.load(file)
        self.operations = {
            (method.upper(), template): item[method]
            for template, item in self.text["paths"].items()
            for method in check.METHODS
            if method in item
        }
        components = self.text["components"]
        composed = set(parts_of_compositions(self.text))
        for name, schema in components["schemas"].items():
            strict(schema, name, closed=name not in composed)
        for kind in ("responses", "parameters"):
            for name, part in components.get(kind, {}).items():
                for media in part.get("content", {}).values():
                    strict(media.get("schema", {}), name)
        for (method, template), operation in self.operations.items():
            operation["x-described"] = list(operation["responses"])
            # What stands elsewhere is needed here, to find unknown parameters and bodies.
            answers = operation["responses"].items()
            operation["responses"] = {status: resolved(self.text, answer) for status, answer in answers}
            operation["parameters"] = [resolved(self.text, parameter) for parameter in operation.get("parameters", [])]
            for status, answer in operation["responses"].items():
                for media in answer.get("content", {}).values():
                    strict(media.get("schema", {}), f"{method} {template} {status}")
            for media in operation.get("requestBody", {}).get("content", {}).values():
                strict(media.get("schema", {}), f"{method} {template} request")
            # Few operations document their errors; the others have the same shape.
            error = {"$ref": "#/components/schemas/basic-error"}
            operation["responses"]["default"] = {
                "description": "any failure", "content": {"application/json": {"schema": error}},
            }
        path = SchemaPath.from_dict(self.text)
        self.requests, self.answers = V30RequestValidator(path), V30ResponseValidator(path)

    def operation(self, method: str, path: str):
        """The operation that a path belongs to. The rest of a path to a file is one parameter."""
        parts = path.split("/")
        found = []
        for known, template in self.operations:
            pattern = template.split("/")
            own = parts
            if template.endswith("/contents/{path}") and len(parts) > len(pattern):
                own = [*parts[: len(pattern) - 1], "%2F".join(parts[len(pattern) - 1 :])]
            if known == method and check.fits(pattern, own):
                found.append((template.count("{"), template))
        return (method, min(found)[1]) if found else None


def resolved(text: dict, part: dict) -> dict:
    """A part, or what it refers to."""
    while "$ref" in part:
        _, *names = part["$ref"].split("/")
        part = text
        for name in names:
            part = part[name]
    return part


def parts_of_compositions(value):
    """The schemas that others are composed of; they do not know each other's properties."""
    if isinstance(value, list):
        for item in value:
            yield from parts_of_compositions(item)
    elif isinstance(value, dict):
        for part in value.get("allOf", []):
            yield part.get("$ref", "").rpartition("/")[2]
        for item in value.values():
            yield from parts_of_compositions(item)


def strict(schema: dict, place: str, closed: bool = True) -> None:
    """As check.strict, also inside of alternatives. What allOf composes must stay open."""
    if not isinstance(schema, dict) or "x-place" in schema:
        return
    properties = schema.get("properties")
    schema["x-place"] = place
    # The description leaves null out of the words of what may be null.
    if schema.get("nullable") and "enum" in schema and None not in schema["enum"]:
        schema["enum"].append(None)
    if properties is not None:
        if closed and not {"allOf", "oneOf", "anyOf"} & schema.keys():
            schema.setdefault("additionalProperties", False)
        for name, inner in properties.items():
            strict(inner, f"{place}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        strict(schema["additionalProperties"], f"{place}.*")
    if "items" in schema:
        strict(schema["items"], f"{place}[]")
    for kind in ("oneOf", "anyOf"):
        for inner in schema.get(kind, []):
            strict(inner, place)


class Findings(check.Findings):
    """What was checked, and the results."""

    def take(self, exchange: dict) -> None:
        """Checks an exchange, if it is one with GitHub."""
        if not exchange["path"].startswith(MOUNT + "/"):
            return
        exchange = {**exchange, "path": exchange["path"].removeprefix(MOUNT)}
        if exchange["path"].startswith(REPOSITORIES):
            # By number: the addresses in links. They are the same operations.
            number, _, below = exchange["path"].removeprefix(REPOSITORIES).partition("/")
            exchange["path"] = f"/repos/number/{number}" + (f"/{below}" if below else "")
        if exchange["path"] == "/graphql":
            self.aside["requests to the GraphQL API"] += 1
            return
        key = self.document.operation(exchange["method"], exchange["path"])
        ours = exchange["headers"].get("user-agent", "").startswith(check.OURS)
        if key is None:
            if ours:
                self.unknown.add(f"no operation of the description: {exchange['method']} {exchange['path']}")
            else:
                self.aside["questions by hand that nothing answers"] += 1
            return
        if key[1].endswith("/contents/{path}"):
            before, slash, below = exchange["path"].partition("/contents/")
            exchange["path"] = before + slash + below.replace("/", "%2F")
        operation = self.document.operations[key]
        self.used[" ".join(key)] += 1
        accepted = 200 <= exchange["status"] < 300
        if ours or accepted:
            self.requests += 1
            self.check("request", key, of_request, exchange, operation)
        if exchange["status"] == 0:
            self.cut += 1
            return
        self.answers += 1
        if exchange["status"] >= 400:
            self.failures[exchange["status"]] += 1
        self.check("answer", key, of_answer, exchange, operation)


def of_request(document: Description, exchange: dict, operation: dict):
    """The errors of a request."""
    ordinary = {name for name in exchange["headers"] if name not in ORDINARY}
    kept = {**exchange, "headers": {"content-type": "application/json", **exchange["headers"]}}
    for error in check.of_request(document, kept, operation):
        if not (error[0].startswith("header ") and error[0].removeprefix("header ") not in ordinary):
            yield error


def of_answer(document: Description, exchange: dict, operation: dict):
    """The errors of a response. A file in the raw form, and the proxy's refusal, are no JSON."""
    media = exchange["answer_headers"].get("content-type", "")
    if media.startswith("text/plain"):
        yield "body", "is plain text"
        return
    yield from check.of_answer(document, exchange, operation)


class Request(check.Request):
    """A recorded request; the server is another."""

    def __post_init__(self):
        super().__post_init__()
        self.host_url = "https://api.github.com"
        self.path = self.exchange["path"]


def main() -> int:
    """Reads the arguments, checks, and reports."""
    check.Request = Request
    description, list_of_deviations, *records = sys.argv[1:]
    with open(list_of_deviations, "rb") as file:
        listed = tomllib.load(file)
    deviations = {
        (entry["side"], entry["place"], entry["what"]): {name: entry[name] for name in ("operations", "reason", "source")}
        for entry in listed["deviation"]
    }
    findings = Findings(Description(description), [])
    for record in records:
        with open(record, encoding="utf-8") as lines:
            for line in lines:
                findings.take(json.loads(line))
    if not findings.answers and not findings.unknown:
        print("nothing was recorded")
        return 1
    wrong = check.compare(findings, deviations)
    check.report(findings, deviations)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
