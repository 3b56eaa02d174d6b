#!/usr/bin/python3
"""Fails when a route, parameter, field, code or version stands only in the server's tables or only in openapi/baton.yaml, or
differs between the two, and when the file leaves something open that it should say:

    compare.py CONTRACT_DUMP

What answers really look like is held against the file by the end-to-end tests (tests/e2e/openapi.py). Begins with a test of
itself: every kind of difference has to be noticed.
"""

import copy
import json
import subprocess
import sys

from contract import Contract, schemas_below

# Codes of the server's table that no answer of this version has.
ANSWERED_BY_NOTHING = {"internal": "would be a bug"}
# Members of no fixed form: whatever a holder gives.
OPEN_OBJECTS = {"metadata"}
# Each kind of route can be refused with these: a read needs a leader, and only a write can be in doubt.
CODES_OF_KIND = {
    "local": {"overloaded"},
    "read": {"overloaded", "not_ready", "no_leader"},
    "write": {"overloaded", "not_ready", "no_leader", "outcome_unknown"},
    "stream": {"overloaded", "not_ready"},
}
DOUBTS = set().union(*CODES_OF_KIND.values())


def types_of(schema):
    kinds = schema.get("type", [])
    return set(kinds if isinstance(kinds, list) else [kinds]) - {"null"}


def codes_of(operation):
    """(status, code) of every problem that it may be answered with."""
    return {(status, code) for status, response in operation.responses.items() for code in response.problems}


# ---- the server against the file ----


def compare_versions(server, contract):
    if server["version"] != contract.version:
        yield f"version {server['version']} is built, {contract.version} is described"


def compare_routes(server, contract):
    built = {(route["method"], route["path"]): route for route in server["routes"]}
    described = {(operation.method, operation.path): operation for operation in contract.operations}
    for method, path in sorted(built.keys() ^ described.keys()):
        yield f"{method} {path} is only {'built' if (method, path) in built else 'described'}"
    for key in sorted(built.keys() & described.keys()):
        for text in compare_route(built[key], described[key]):
            yield f"{key[0]} {key[1]}: {text}"


def compare_route(route, operation):
    parameters = set(route["parameters"].split())
    for name in sorted(parameters ^ operation.query.keys()):
        yield f"query parameter {name} is only {'built' if name in parameters else 'described'}"
    doubts = {code for _, code in codes_of(operation)} & DOUBTS
    for code in sorted(doubts ^ CODES_OF_KIND[route["kind"]]):
        yield f"{code} is {'described' if code in doubts else 'not described'}, but it is a {route['kind']} route"
    yield from compare_fields(route["fields"], operation.body or {}, "")
    for name, field in operation.fields.items():
        if "array" in types_of(field):
            yield from compare_fields(route["items"], field["items"], f"{name}[].")
    if route["items"] and not any("array" in types_of(field) for field in operation.fields.values()):
        yield "items of an array are built, but there is no array"


def compare_fields(built, schema, place):
    """Those of one object, the body or an item of an array in it."""
    fields, described = {field["name"]: field for field in built}, schema.get("properties", {})
    for name in sorted(fields.keys() ^ described.keys()):
        yield f"field {place}{name} is only {'built' if name in fields else 'described'}"
    for name in sorted(fields.keys() & described.keys()):
        required = name in schema.get("required", [])
        for text in compare_field(fields[name], described[name], required):
            yield f"field {place}{name}: {text}"


BOUNDS = {
    "integer": ("minimum", "maximum", None),
    "string": ("minLength", "maxLength", 0),
    "array": ("minItems", "maxItems", 0),
}


def compare_field(field, schema, required):
    nullable = "null" in schema.get("type", [])
    pairs = [("type", {field["type"]}, types_of(schema)), ("required", field["required"], required)]
    pairs.append(("null", field["nullable"], nullable))
    if field["type"] in BOUNDS:
        least, most, unsaid = BOUNDS[field["type"]]
        pairs += [(least, field["min"], schema.get(least, unsaid)), (most, field["max"], schema.get(most))]
    if field["type"] == "integer" and ("default" in schema or field["otherwise"]):
        pairs.append(("default", None if nullable else field["otherwise"], schema.get("default")))
    if nullable and schema.get("default", "") is not None:
        yield "null is what it is when it is left out, and not said to be its default"
    for what, built, described in pairs:
        if built != described:
            yield f"{what} is {built} as it is built, {described} as it is described"


def compare_codes(server, contract):
    built = {(row["status"], row["code"]) for row in server["codes"]}
    described = set().union(*(codes_of(operation) for operation in contract.operations))
    described |= {(status, code) for status, response in contract.outside.items() for code in response.problems}
    for status, code in sorted(built ^ described):
        if (status, code) in described:
            yield f"{status} {code} is only described"
        elif code not in ANSWERED_BY_NOTHING:
            yield f"{status} {code} is only built"
    for code in sorted(ANSWERED_BY_NOTHING.keys() & {code for _, code in described}):
        yield f"{code} is described, so take it out of ANSWERED_BY_NOTHING"
    for outcome in sorted(set(server["outcomes"]) - {"done"} - {code for _, code in built}):
        yield f"outcome {outcome} of core has no code"


def compare_events(server, contract):
    """Each kind, with the members of its data: that these are all required is complained of below."""
    streams = [response for operation in contract.operations for response in operation.responses.values() if response.events]
    described = {kind: schema for response in streams for kind, schema in response.events.items()}
    for kind in sorted(server["events"].keys() ^ described.keys()):
        yield f"event {kind} is only {'built' if kind in server['events'] else 'described'}"
    for kind in sorted(server["events"].keys() & described.keys()):
        built, members = server["events"][kind]["data"].keys(), described[kind]["properties"].keys()
        for name in sorted(built ^ members):
            yield f"event {kind}: {name} is only {'built' if name in built else 'described'}"


# ---- the file by itself ----


def complain_of_schema(name, schema):
    """Every value says what it is, and how large it may be."""
    kinds = types_of(schema)
    fixed = "const" in schema or "enum" in schema
    if "description" not in schema and not fixed:
        yield "has no description"
    if not kinds and not fixed and "oneOf" not in schema:
        yield "has no type"
    if "object" in kinds and schema.get("additionalProperties") is not (name in OPEN_OBJECTS):
        yield "is open" if name not in OPEN_OBJECTS else "is closed"
    if "array" in kinds and not {"items", "maxItems"} <= schema.keys():
        yield "has no items or no maxItems"
    if "string" in kinds and not fixed and not {"pattern", "maxLength"} & schema.keys():
        yield "has neither pattern nor maxLength"
    if "integer" in kinds and not fixed and "minimum" not in schema:
        yield "has no minimum"


def complain_of_problem(status, code, schema):
    members = {"type": f"urn:baton:problem:{code}", "status": status, "code": code}
    for name, value in members.items():
        if schema["properties"].get(name) != {"const": value}:
            yield f"{name} isn't {value!r}"
    for name in schema["properties"].keys() - set(schema["required"]):
        yield f"{name} isn't required"


def complain_of_operation(operation):
    places = [(f"parameter {name}", name, parameter["schema"])
              for name, parameter in [*operation.query.items(), *operation.headers.items()]]  # fmt: skip
    if operation.body is not None:
        places.append(("request", "", operation.body))
    for status, response in operation.responses.items():
        places += [(f"answer {status}", "", branch) for branch in response.problems.values()]
        places += [(f"answer {status}", "", schema) for kind, schema in response.content.items() if "problem" not in kind]
        for code, schema in response.problems.items():
            yield from (f"{code}: {text}" for text in complain_of_problem(status, code, schema))
        for kind, schema in response.events.items():
            places.append((f"event {kind}", "", schema))
            for name in schema["properties"].keys() ^ set(schema["required"]):
                yield f"event {kind}: {name} isn't required"
    for place, name, schema in places:
        for where, below in schemas_below(schema, place):
            last = where.rsplit(".", 1)[-1] if "." in where else name
            if below.get("type") == "null" or (where == place and place.startswith("parameter")):
                continue  # a parameter's own description is in it, not in its schema
            described = {"description": "", **below} if where in ("request", place) or last.endswith("[]") else below
            yield from (f"{where} {text}" for text in complain_of_schema(last, described))


def compare(server, contract):
    return [
        *compare_versions(server, contract), *compare_routes(server, contract), *compare_codes(server, contract),
        *compare_events(server, contract),
        *(f"{operation.name}: {text}" for operation in contract.operations for text in complain_of_operation(operation)),
    ]  # fmt: skip


# ---- its own test ----


def differences(server):
    """Servers with one difference each to what is described."""

    def changed(change):
        other = copy.deepcopy(server)
        change(other)
        return other

    acquire = next(i for i, route in enumerate(server["routes"]) if route["fields"])
    batch = next(i for i, route in enumerate(server["routes"]) if route["items"])
    array = next(i for i, field in enumerate(server["routes"][batch]["fields"]) if field["type"] == "array")
    policy, group = next(
        (i, j) for i, route in enumerate(server["routes"]) for j, field in enumerate(route["fields"]) if field["nullable"]
    )
    with_query = next(i for i, route in enumerate(server["routes"]) if route["parameters"])
    yield changed(lambda other: other.update(version="9.9.9"))
    yield changed(lambda other: other["routes"].pop())
    yield changed(lambda other: other["routes"].append({**server["routes"][acquire], "path": "/else"}))
    yield changed(lambda other: other["routes"][with_query].update(parameters=""))
    yield changed(lambda other: other["routes"][with_query].update(parameters="x " + server["routes"][with_query]["parameters"]))
    yield changed(lambda other: other["routes"][acquire].update(kind="local"))
    yield changed(lambda other: other["routes"][acquire]["fields"].pop())
    more = {**server["routes"][acquire]["fields"][0], "name": "x"}
    yield changed(lambda other: other["routes"][acquire]["fields"].append(more))
    for member, value in (("type", "boolean"), ("required", None), ("min", -1), ("max", -1), ("nullable", True)):
        yield changed(lambda other: other["routes"][acquire]["fields"][0].update({member: value}))  # noqa: B023: used at once
        yield changed(lambda other: other["routes"][batch]["items"][0].update({member: value}))  # noqa: B023
    for member in ("min", "max"):
        yield changed(lambda other: other["routes"][batch]["fields"][array].update({member: 7}))  # noqa: B023
    yield changed(lambda other: other["routes"][batch]["items"].pop())
    yield changed(lambda other: other["routes"][batch]["items"].append(more))
    yield changed(lambda other: other["routes"][acquire].update(items=[more]))
    yield changed(lambda other: other["routes"][policy]["fields"][group].update(nullable=False))
    yield changed(lambda other: other["events"].pop("granted"))
    yield changed(lambda other: other["events"].update(x={"data": {}}))
    yield changed(lambda other: other["events"]["granted"]["data"].update(x=1))
    yield changed(lambda other: other["events"]["policy"]["data"].pop("group"))
    yield changed(lambda other: other["codes"].pop())
    yield changed(lambda other: other["codes"].append({"code": "x", "status": 400}))
    yield changed(lambda other: other["codes"][0].update(status=499))
    yield changed(lambda other: other["outcomes"].append("x"))


# What is taken out of the file, once each, and leaves something open.
GAPS = (
    "\n          description: Whether anybody holds the lock.",
    "\n      additionalProperties: false",
    "\n      maxLength: 128\n      pattern: \"^[!-~]+$\"",
    "\n          maxItems: 1000",
    "\n      minimum: 1",
    "\n        status: {const: 409}",
    ", run, holder",
    "\n          minItems: 1\n          maxItems: 1000",
    "\n              token: {$ref: \"#/components/schemas/Token\"}",
    "\n          default: null",
    ", schedules, deleted",
)


def self_test(server, contract):
    known = compare(server, contract)
    for number, other in enumerate(differences(server)):
        assert len(compare(other, contract)) > len(known), f"difference {number} wasn't noticed"
    for gap in GAPS:
        other = Contract(contract.text.replace(gap, "", 1))
        assert len(compare(server, other)) > len(known), f"nobody missed {gap.strip()!r}"


def main():
    contract = Contract()
    server = json.loads(subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout)
    self_test(server, contract)
    wrong = compare(server, contract)
    for text in wrong:
        print(text)
    print(f"{len(contract.operations)} operations, {len(wrong)} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
