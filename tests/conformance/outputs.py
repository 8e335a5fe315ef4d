#!/usr/bin/env python3
"""Reads the outputs of trimtab with third-party parsers of XML, CommonMark and DOT.

Usage: outputs.py TRIMTAB DIR. Prints one line for each check; on failure with the reason, and exits with 1.
"""
import html.parser
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as xml

import pydot
from markdown_it import MarkdownIt

trimtab, directory = sys.argv[1:]
ENVIRONMENTS = {"staging": [], "production": [], "review": ["--var", "pr=7"]}
# HTML elements without an end tag.
VOID = {"br", "hr", "img", "input"}


def run(environment: str, *arguments: str) -> str:
    """The output of trimtab for an environment of the repository."""
    command = [trimtab, *arguments, environment, *ENVIRONMENTS[environment]]
    command += [f"--sandbox={os.path.join(directory, environment)}", "--env-file", "environments/example.env"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def changes(environment: str) -> list[str]:
    """The addresses that a plan changes, from its JSON."""
    plan = json.loads(run(environment, "plan", "--format", "json"))
    return [change["address"] for change in plan["changes"]]


class Page(html.parser.HTMLParser):
    """Collects table rows and text, and checks that every element is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.rows, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        elif tag == "br" and "td" in self.open:
            self.rows[-1][-1] += "\n"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> ends what was not begun"

    def handle_data(self, data):
        self.text += data
        if "td" in self.open:
            self.rows[-1][-1] += data


def objects(cell: str) -> list[str]:
    """The addresses of a row: one, or `fly.machine/web/app ×2` followed by `fra/0, iad/0`."""
    head, _, names = cell.partition("\n")
    address, times, count = head.partition(" ×")
    if not times:
        return [address]
    found = [f"{address}/{name}" for name in names.split(", ")]
    assert len(found) == int(count), f"{head} has {names} below it"
    return found


def markdown(environment: str):
    """A pull request comment renders as a table of all changes, and no value breaks out of its block."""
    page = Page()
    page.feed(MarkdownIt("commonmark").enable("table").render(run(environment, "plan", "--format", "markdown")))
    page.close()
    assert not page.open, f"{page.open} do not end"
    shown = [address for row in page.rows if row for address in objects(row[1])]
    assert sorted(shown) == sorted(changes(environment)), f"the table has {shown}"
    assert "```" not in page.text and "<details" not in page.text, "a block is shown as text"


def svg(environment: str):
    """An SVG is well-formed, has no external references, and names every object of the plan's graph."""
    tree = xml.fromstring(run(environment, "graph", "--format", "svg"))
    assert tree.tag == "{http://www.w3.org/2000/svg}svg", tree.tag
    width, height = (float(number) for number in tree.get("viewBox").split()[2:])
    assert width > 0 and height > 0, "it has no size"
    for element in tree.iter():
        for name, value in element.attrib.items():
            assert "://" not in value, f"{element.tag} refers to {value}"
            assert name.rsplit("}", 1)[-1] not in ("src", "onload", "onclick"), f"{element.tag} has {name}"
        for key, limit in (("x", width), ("y", height)):
            at = float(element.get(key) or 0)
            assert -1 <= at <= limit + 1, f"{element.tag} stands at {key}={at}, outside of {limit}"
    text = "".join(tree.itertext())
    nodes, _ = graph(environment)
    missing = [part for label in nodes for part in label.split("\\n") if part not in text]
    assert not missing, f"{missing} are missing"


def graph(environment: str) -> tuple[list[str], int]:
    """The labels and the number of edges of the DOT output."""
    (parsed,) = pydot.graph_from_dot_data(run(environment, "graph", "--format", "dot"))
    labelled = [node for node in parsed.get_nodes() if node.get_label()]
    names = {node.get_name() for node in labelled}
    for edge in parsed.get_edges():
        ends = {edge.get_source(), edge.get_destination()}
        assert ends <= names, f"{ends - names} have an edge and no label"
    return [node.get_label().strip('"') for node in labelled], len(parsed.get_edges())


def dot(environment: str):
    """The DOT output can be parsed and has a node for every object; the Mermaid output has as many edges."""
    nodes, edges = graph(environment)
    machines = [address for address in changes(environment) if address.startswith("fly.machine/")]
    drawn = [label for label in nodes if label.startswith("fly.machine\\n")]
    assert len(drawn) == len(machines) > 0, f"{len(drawn)} machines are drawn, {len(machines)} are planned"
    mermaid = run(environment, "graph", "--format", "mermaid").splitlines()
    assert mermaid[0].split()[0] in ("flowchart", "graph"), mermaid[0]
    arrows = sum("-->" in line or "-.->" in line or "==>" in line for line in mermaid)
    assert arrows == edges > 0, f"Mermaid has {arrows} edges, DOT {edges}"


failed = 0
for check in (markdown, svg, dot):
    for environment in ENVIRONMENTS:
        try:
            check(environment)
        except (AssertionError, ValueError, xml.ParseError, subprocess.CalledProcessError) as error:
            print(f"FAIL  {check.__name__} of {environment}: {getattr(error, 'stderr', None) or error}")
            failed += 1
        else:
            print(f"ok    {check.__name__} of {environment}")
sys.exit(failed > 0)
