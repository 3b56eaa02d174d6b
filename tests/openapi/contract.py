"""openapi/baton.yaml as Python values: its operations, with every reference resolved.

`Contract` belongs to whoever holds something against the file: compare.py the server's tables, tests/e2e/openapi.py what
real nodes are asked and answer.
"""

import pathlib
import re

import yaml

FILE = pathlib.Path(__file__).resolve().parents[2] / "openapi" / "baton.yaml"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
COMPONENT = "x-component"  # in a resolved schema: the name of the component that it came from


class Response:
    """What one status may look like."""

    def __init__(self, status, node):
        self.status = int(status)
        self.headers = node.get("headers", {})
        self.content = {kind: media["schema"] for kind, media in node.get("content", {}).items()}

    @property
    def events(self):
        """Kind to schema of its data; empty when this isn't a stream of events."""
        return self.content.get("text/event-stream", {}).get("contentSchema", {}).get("properties", {})

    @property
    def problems(self):
        """Code to schema; empty when this status is no problem."""
        schema = self.content.get("application/problem+json")
        branches = [] if schema is None else schema.get("oneOf", [schema])
        return {branch["properties"]["code"]["const"]: branch for branch in branches}


class Operation:
    def __init__(self, method, path, shared, node):
        self.method = method.upper()
        self.path = path
        self.name = node["operationId"]
        self.pattern = re.compile(re.sub(r"\{[^}]*\}", "([^/]+)", re.escape(path).replace(r"\{", "{").replace(r"\}", "}")))
        parameters = [*shared, *node.get("parameters", [])]
        self.path_parameters = [parameter for parameter in parameters if parameter["in"] == "path"]
        self.query = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "query"}
        self.headers = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "header"}
        body = node.get("requestBody")
        media = {} if body is None else body["content"]["application/json"]
        self.body = media.get("schema")
        self.examples = [example["value"] for example in media.get("examples", {}).values()]
        self.responses = {int(status): Response(status, response) for status, response in node["responses"].items()}

    @property
    def fields(self):
        """Of the body, by name."""
        return {} if self.body is None else self.body["properties"]


class Contract:
    def __init__(self, text=None):
        self.text = FILE.read_text(encoding="utf-8") if text is None else text
        self.document = yaml.load(self.text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self._resolved = {}
        self.version = self.document["info"]["version"]
        self.operations = []
        for path, item in self.document["paths"].items():
            item = self._resolve(item)
            for method in METHODS:
                if method in item:
                    self.operations.append(Operation(method, path, item.get("parameters", []), item[method]))
        # answers to what no operation is for
        outside = self._resolve(self.document["x-outside"])
        self.outside = {int(status): Response(status, response) for status, response in outside.items()}

    def _resolve(self, node):
        if isinstance(node, list):
            return [self._resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        resolved = {}
        if "$ref" in node:
            resolved.update(self._target(node["$ref"]))
        resolved.update({name: self._resolve(value) for name, value in node.items() if name != "$ref"})
        return resolved

    def _target(self, pointer):
        if pointer not in self._resolved:
            steps = pointer.removeprefix("#/").split("/")
            target = self.document
            for step in steps:
                target = target[step]
            target = dict(self._resolve(target))
            if steps[:2] == ["components", "schemas"] and len(steps) == 3:
                target[COMPONENT] = steps[2]
            self._resolved[pointer] = target
        return self._resolved[pointer]

    def find(self, method, path):
        """(the operation or None, all operations of this path). HEAD belongs to GET."""
        here = [operation for operation in self.operations if operation.pattern.fullmatch(path)]
        described = "GET" if method == "HEAD" else method
        return next((operation for operation in here if operation.method == described), None), here


def schemas_below(schema, place):
    """Every schema in `schema`, itself included: (where it is, the schema)."""
    yield place, schema
    for name, member in schema.get("properties", {}).items():
        yield from schemas_below(member, f"{place}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from schemas_below(schema["items"], f"{place}[]")
    for branch in schema.get("oneOf", []):
        yield from schemas_below(branch, place)
