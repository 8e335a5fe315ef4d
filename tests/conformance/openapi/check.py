#!/usr/bin/env python3
"""Holds recorded exchanges (crates/sandbox/src/record.rs) to Fly's OpenAPI document, with openapi-core.

Usage: check.py DOCUMENT DEVIATIONS RECORD...

Every request of trimtab must match an operation of the document, and so must every response, whoever sent the request.
The document is read more strictly than it is written: an unknown property, parameter, body or status is a deviation too.
Every deviation must be listed in DEVIATIONS with its reason, and every listed one must occur. Prints what was checked;
on failure prints a line for each deviation, and exits with 1.
"""
import collections
import json
import sys
import tomllib
from dataclasses import dataclass
from urllib.parse import parse_qsl

from jsonschema_path import SchemaPath
from openapi_core import V30RequestValidator, V30ResponseValidator
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

SERVER = "https://api.machines.dev"
METHODS = ("get", "put", "post", "delete", "patch")
# Headers of every client and server, which no OpenAPI document lists: it ignores content headers by its own rules.
ORDINARY = {"accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"}
OURS = "trimtab/"
# The plain-text response of Go's router for a path that does not exist, before anything else is checked (fly-api.md
# 2.0).
UNROUTED = "404 page not found\n"
# A deviation that is allowed anywhere.
ANY = ["any"]


class Document:
    """The document, and a strict copy of it."""

    def __init__(self, path: str):
        with open(path, encoding="utf-8") as file:
            self.text = json.load(file)
        self.operations = {
            (method.upper(), template): item[method]
            for template, item in self.text["paths"].items()
            for method in METHODS
            if method in item
        }
        for name, schema in self.text["components"]["schemas"].items():
            strict(schema, name)
        for (method, template), operation in self.operations.items():
            bodies = {"request": operation.get("requestBody", {})}
            bodies |= {status: answer for status, answer in operation["responses"].items()}
            for part, body in bodies.items():
                # For an empty response the document says `{}`, which the validator takes for content without a type.
                if not body.get("content", True):
                    del body["content"]
                for media in body.get("content", {}).values():
                    strict(media.get("schema", {}), f"{method} {template} {part}")
            # Few operations document their errors; the others have the same shape.
            error = {"$ref": "#/components/schemas/ErrorResponse"}
            operation["x-described"] = list(operation["responses"])
            operation["responses"]["default"] = {
                "description": "any failure",
                "content": {"application/json": {"schema": error}},
            }
        path = SchemaPath.from_dict(self.text)
        self.requests, self.answers = V30RequestValidator(path), V30ResponseValidator(path)

    def operation(self, method: str, path: str):
        """The operation that a path belongs to; a literal path takes precedence over one with parameters."""
        parts = path.removeprefix("/v1").split("/")
        found = [
            (template.count("{"), template)
            for known, template in self.operations
            if known == method and fits(template.split("/"), parts)
        ]
        return (method, min(found)[1]) if found else None


def fits(template: list[str], parts: list[str]) -> bool:
    """Whether a path matches a template."""
    return len(template) == len(parts) and all(a == b or a.startswith("{") and b for a, b in zip(template, parts))


def strict(schema: dict, place: str) -> None:
    """Forbids unknown properties, and stores in every part its location."""
    schema["x-place"] = place
    properties = schema.get("properties")
    if properties is not None:
        schema.setdefault("additionalProperties", False)
        for name, inner in properties.items():
            strict(inner, f"{place}.{name}")
    if isinstance(schema.get("additionalProperties"), dict):
        strict(schema["additionalProperties"], f"{place}.*")
    if "items" in schema:
        strict(schema["items"], f"{place}[]")


@dataclass
class Request:
    """A recorded request as openapi-core reads it."""

    exchange: dict

    def __post_init__(self):
        exchange = self.exchange
        self.method, self.path, self.host_url = exchange["method"].lower(), exchange["path"], SERVER
        self.content_type = exchange["headers"].get("content-type", "")
        self.body = exchange["body"].encode() or None
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(parse_qsl(exchange["query"], keep_blank_values=True)),
            header=Headers(exchange["headers"]),
        )


@dataclass
class Answer:
    """A recorded response as openapi-core reads it."""

    exchange: dict

    def __post_init__(self):
        self.status_code = self.exchange["status"]
        self.headers = Headers(self.exchange["answer_headers"])
        self.content_type = self.headers.get("content-type", "")
        self.data = self.exchange["answer"].encode() or None


def shown(value) -> str:
    """A value in an error of the schema: its type, or the value itself if it is short and no secret, such as words and flags."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return {str: "a string", int: "an integer", float: "a number", list: "an array", dict: "an object"}[type(value)]


def causes(error):
    """The errors of the schema behind an error of openapi-core: location and problem."""
    while error is not None:
        found = list(getattr(error, "schema_errors", None) or [])
        if found:
            for inner in found:
                yield from complaint(inner)
            return
        last, error = error, error.__cause__
    yield "", f"{type(last).__name__}: {last}"


def complaint(error):
    """One error of a schema."""
    place, value = error.schema.get("x-place", "?"), error.instance
    match error.validator:
        case "additionalProperties":
            for name in sorted(set(value) - set(error.schema["properties"])):
                yield f"{place}.{name}", "unknown"
        case "required":
            for name in sorted(set(error.validator_value) - set(value)):
                yield f"{place}.{name}", "missing"
        case "enum":
            yield place, f"is {json.dumps(value)}"
        case "allOf" | "oneOf" | "anyOf":
            for inner in error.context:
                yield from complaint(inner)
        case "type" | "nullable":
            yield place, f"is {shown(value)}"
        case other:
            yield place, f"breaks {other}"


def of_request(document: Document, exchange: dict, operation: dict):
    """The errors of a request."""
    for error in document.requests.iter_errors(Request(exchange)):
        yield from causes(error)
    known = {(parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])}
    for name, _ in parse_qsl(exchange["query"], keep_blank_values=True):
        if ("query", name) not in known:
            yield f"?{name}", "unknown"
    for name in exchange["headers"]:
        if name not in ORDINARY and ("header", name) not in known:
            yield f"header {name}", "unknown"
    if exchange["body"] and "requestBody" not in operation:
        yield "body", "unknown"


def of_answer(document: Document, exchange: dict, operation: dict):
    """The errors of a response."""
    status = str(exchange["status"])
    if status not in operation["x-described"]:
        if exchange["status"] < 400:
            yield "status", f"is {status}"
            return
        # Not by count: how many requests are rate limited depends on how busy this machine is.
        yield "status", "is a failure"
    elif exchange["answer"] and not operation["responses"][status].get("content"):
        yield f"body of {status}", "unknown"
        return
    for error in document.answers.iter_errors(Request(exchange), Answer(exchange)):
        yield from causes(error)


class Findings:
    """What was checked, and the results."""

    def __init__(self, document: Document, outside: list[dict]):
        self.document, self.outside = document, outside
        # (side, location, problem) to the operations with it, and how often it occurred.
        self.found = collections.defaultdict(collections.Counter)
        self.used, self.aside = collections.Counter(), collections.Counter()
        self.requests, self.answers, self.cut = 0, 0, 0
        self.failures = collections.Counter()
        self.unknown, self.seen = set(), {}

    def take(self, exchange: dict) -> None:
        """Checks an exchange. Many are equal, so results are cached."""
        beside = self.beside(exchange)
        if beside is not None:
            self.aside[beside] += 1
            return
        key = self.document.operation(exchange["method"], exchange["path"])
        ours = exchange["headers"].get("user-agent", "").startswith(OURS)
        nothing = exchange["answer"] == UNROUTED or key is None and exchange["status"] == 0
        if nothing and not ours:
            self.aside["questions by hand that nothing answers"] += 1
            return
        if key is None:
            for error in self.document.requests.iter_errors(Request(exchange)):
                self.unknown.add(f"no operation of the document: {error}")
            return
        operation = self.document.operations[key]
        self.used[" ".join(key)] += 1
        # The sessions also have manual requests, which may send anything.
        if ours:
            self.requests += 1
            self.check("request", key, of_request, exchange, operation)
        if exchange["status"] == 0:
            self.cut += 1
            return
        self.answers += 1
        if exchange["status"] >= 400:
            self.failures[exchange["status"]] += 1
        self.check("answer", key, of_answer, exchange, operation)

    def check(self, side: str, key: tuple, check, exchange: dict, operation: dict) -> None:
        """One side of an exchange."""
        if side == "request":
            said = [exchange[part] for part in ("path", "query", "headers", "body")]
        else:
            said = [exchange["status"], exchange["answer_headers"].get("content-type"), exchange["answer"]]
        seen = (side, key, json.dumps(said))
        if seen not in self.seen:
            self.seen[seen] = set(check(self.document, exchange, operation))
        for place, what in self.seen[seen]:
            self.found[side, place, what][" ".join(key)] += 1

    def beside(self, exchange: dict) -> str | None:
        """The reason why the document does not cover an exchange."""
        host = exchange["headers"].get("host", "")
        for entry in self.outside:
            if "host" in entry and host.endswith(entry["host"]):
                return entry["what"]
            if "path" in entry and exchange["path"].startswith(entry["path"]):
                return entry["what"]
            if "contains" in entry and entry["contains"] in exchange["path"]:
                return entry["what"]
        return None


def compare(findings: Findings, listed: dict) -> list[str]:
    """Deviations that are not listed, and listed ones that do not occur."""
    wrong = sorted(findings.unknown)
    for key, where in sorted(findings.found.items()):
        operations = listed[key]["operations"] if key in listed else []
        if operations == ANY:
            continue
        for operation in sorted(set(where) - set(operations)):
            wrong.append(f"not listed: {' '.join(key)}, in {operation}")
    for key, entry in listed.items():
        where = findings.found.get(key, {})
        expected = set(entry["operations"]) if entry["operations"] != ANY else set(where) or {"any operation"}
        for operation in sorted(expected - set(where)):
            wrong.append(f"listed, but it does not occur: {' '.join(key)}, in {operation}")
    for entry in findings.outside:
        if not findings.aside[entry["what"]]:
            wrong.append(f"listed as outside of the document, but nobody asks for it: {entry['what']}")
    return wrong


def report(findings: Findings, listed: dict) -> None:
    """The numbers of checks."""
    operations = [" ".join(key) for key in findings.document.operations]
    print(
        f"{findings.requests} requests of trimtab, {findings.answers} answers of the sandbox "
        f"({findings.cut} were cut instead), {len(findings.used)} of {len(operations)} operations"
    )
    print("failures:", ", ".join(f"{status} {n} times" for status, n in sorted(findings.failures.items())))
    for what, count in sorted(findings.aside.items()):
        print(f"outside of the document: {count} of {what}")
    places, times = collections.Counter(), collections.Counter()
    for key, entry in listed.items():
        places[entry["reason"]] += 1
        times[entry["reason"]] += sum(findings.found.get(key, {}).values())
    for reason, count in places.most_common():
        print(f"deviations: {count}, {times[reason]} times: {reason}")
    never = [operation for operation in operations if operation not in findings.used]
    print(f"{len(never)} operations are never used:", *never, sep="\n  ")


def main() -> int:
    """Reads the arguments, checks, and reports."""
    document, list_of_deviations, *records = sys.argv[1:]
    with open(list_of_deviations, "rb") as file:
        listed = tomllib.load(file)
    # Every entry must be complete: a deviation without a reason is an error.
    deviations = {
        (entry["side"], entry["place"], entry["what"]): {name: entry[name] for name in ("operations", "reason", "source")}
        for entry in listed["deviation"]
    }
    findings = Findings(Document(document), listed["outside"])
    for record in records:
        with open(record, encoding="utf-8") as lines:
            for line in lines:
                findings.take(json.loads(line))
    if not findings.answers and not findings.unknown:
        print("nothing was recorded")
        return 1
    wrong = compare(findings, deviations)
    report(findings, deviations)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
