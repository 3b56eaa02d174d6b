"""Holds every request and every answer of these tests against openapi/baton.yaml, and counts what of that file was seen.

`exchanged` is called for each exchange of harness.Node.request. An answer must be one that the file describes, to the last
member (to HEAD: but for the body); a request that was answered 2xx must be one that the file allows, and one that it
doesn't allow must be refused. At the end of a run of all tests, `unseen` names what stands in the file and was never met.
What goes through a socket of its own (raw bytes, load) isn't looked at.
"""

import json
import pathlib
import re
import sys
import threading
import urllib.parse

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "openapi"))

from contract import COMPONENT, Contract  # noqa: E402

CONTRACT = Contract()
# Headers that HTTP itself brings; any other one of an answer stands in the file.
PLAIN_HEADERS = {"connection", "content-length", "content-type", "date", "transfer-encoding"}
# What is refused before baton sees it: by libmicrohttpd, with a text of its own.
REFUSED_EARLIER = {400, 413, 414, 431, 501, 505}
# What no run has to see, with the reason: (operation or None for all, status, code).
NEED_NOT_BE_SEEN = {
    (None, 503, "overloaded"): "takes 12 000 requests under way; tests/node/test_service.c reaches it in a smaller pool",
}

UNKNOWN = object()  # the code of an answer whose body isn't there

MISMATCHES = []  # of the running test; main.py empties it before each

_lock = threading.Lock()
_answers = set()  # (operation's name, status, code or None)
_members = set()  # (component, member), with another value than null
_validators = {}


class Mismatch(Exception):
    pass


def _expect(condition, message):
    if not condition:
        raise Mismatch(message)


# ---- one value ----


def _validator(schema):
    """Made once for each schema; they live as long as CONTRACT, so their ids are theirs."""
    found = _validators.get(id(schema))
    if found is None:
        jsonschema.Draft202012Validator.check_schema(schema)
        found = _validators[id(schema)] = jsonschema.Draft202012Validator(schema)
    return found


def _complaint(schema, value):
    """What is wrong with `value`, None when nothing is."""
    error = jsonschema.exceptions.best_match(_validator(schema).iter_errors(value))
    if error is None:
        return None
    return f"{error.json_path}: {error.message}"[:600]


def _text_value(schema, text):
    """A header or parameter as the value that its schema is about."""
    if schema.get("type") == "integer" and re.fullmatch(r"0|[1-9][0-9]{0,18}", text):
        return int(text)
    if schema.get("type") == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _parse_json(body):
    """Strict: no duplicates, no NaN, nothing but UTF-8."""

    def unique(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a member is given twice")
        return dict(pairs)

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    return json.loads(body.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)


# ---- requests ----


def _check_name(operation, path):
    for parameter, encoded in zip(operation.path_parameters, operation.pattern.fullmatch(path).groups()):
        _expect(not re.search("%(?![0-9A-Fa-f]{2})", encoded), "a broken escape in the path")
        complaint = _complaint(parameter["schema"], urllib.parse.unquote(encoded, encoding="latin-1"))
        _expect(complaint is None, f"{parameter['name']}: {complaint}")


def _check_query(operation, query):
    seen = set()
    for piece in query.split("&") if query else []:
        name, _, value = piece.replace("+", " ").partition("=")
        name, value = (urllib.parse.unquote(text, encoding="latin-1") for text in (name, value))
        _expect(name in operation.query and name not in seen, f"query parameter {name!r}, unknown or twice")
        seen.add(name)
        schema = operation.query[name]["schema"]
        complaint = _complaint(schema, _text_value(schema, value))
        _expect(complaint is None, f"query parameter {name}: {complaint}")
    for name, parameter in operation.query.items():
        _expect(name in seen or not parameter.get("required"), f"query parameter {name} is missing")


def _check_request_headers(operation, headers):
    given = {name.lower(): value for name, value in headers.items()}
    for name, parameter in operation.headers.items():
        if name.lower() in given:
            complaint = _complaint(parameter["schema"], given[name.lower()])
            _expect(complaint is None, f"header {name}: {complaint}")


def _check_request_body(operation, body):
    if operation.body is None:
        _expect(not body, "a body where there must be none")
        return
    try:
        value = _parse_json(body or b"")
    except (ValueError, RecursionError) as error:
        raise Mismatch(f"the body is no JSON: {error}") from None
    complaint = _complaint(operation.body, value)
    _expect(complaint is None, f"body: {complaint}")


def _objection(operation, target, headers, body):
    """Why the file doesn't allow this request; None when it does."""
    path, _, query = target.partition("?")
    try:
        _check_name(operation, path)
        _check_query(operation, query)
        _check_request_headers(operation, headers)
        _check_request_body(operation, body)
    except Mismatch as mismatch:
        return str(mismatch)
    return None


# ---- answers ----


def _note_members(schema, value, owner):
    """Remembers which members of which component `value` shows."""
    if value is None:
        return
    owner = schema.get(COMPONENT, owner)
    for branch in schema.get("oneOf", []):
        if branch.get("type") != "null":
            _note_members(branch, value, owner)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            _note_members(schema["items"], item, owner)
    if isinstance(value, dict):
        for name, member in schema.get("properties", {}).items():
            if value.get(name) is not None:
                _members.add((owner, name))
                _note_members(member, value[name], f"{owner}.{name}")


def _check_answer_headers(response, answer, code):
    """`code` is UNKNOWN where the body isn't there."""
    described = {name.lower(): (name, header) for name, header in response.headers.items()}
    for name in answer.headers:
        _expect(name in described or name in PLAIN_HEADERS, f"header {name} isn't described")
    for lower, (name, header) in described.items():
        only = header.get("x-only-with-code")
        if only is not None and code is not UNKNOWN:
            _expect((lower in answer.headers) == (code in only), f"header {name} goes with {only}, and with nothing else")
        elif only is None:
            _expect(lower in answer.headers or not header.get("required"), f"header {name} is missing")
        if lower in answer.headers:
            complaint = _complaint(header["schema"], _text_value(header["schema"], answer.headers[lower]))
            _expect(complaint is None, f"header {name}: {complaint}")


def _check_answer_body(response, answer):
    """Returns the code, None when the answer is no problem."""
    kind = answer.headers.get("content-type")
    _expect(kind in response.content, f"content type {kind!r} instead of one of {list(response.content)}")
    schema = response.content[kind]
    if "json" not in kind:
        value = answer.body.decode("utf-8")
    else:
        try:
            value = _parse_json(answer.body)
        except ValueError as error:
            raise Mismatch(f"the body is no JSON: {error}") from None
    code = None
    if kind == "application/problem+json":
        code = value.get("code") if isinstance(value, dict) else None
        _expect(code in response.problems, f"code {code!r} instead of one of {list(response.problems)}")
        schema = response.problems[code]
    complaint = _complaint(schema, value)
    _expect(complaint is None, f"body: {complaint}")
    with _lock:
        _note_members(schema, value, f"answer {response.status}")
    return code


def _check_no_body(response, answer):
    """Of an answer to HEAD: what stands in its headers is what a GET would have been answered."""
    kind = answer.headers.get("content-type")
    _expect(kind in response.content, f"content type {kind!r} instead of one of {list(response.content)}")
    _expect(answer.body == b"" and int(answer.headers["content-length"]) > 0, "no body, but the length of one")
    return UNKNOWN


def _check_answer(method, responses, answer):
    _expect(answer.status in responses, f"status {answer.status} instead of one of {sorted(responses)}")
    response = responses[answer.status]
    code = (_check_no_body if method == "HEAD" else _check_answer_body)(response, answer)
    _check_answer_headers(response, answer, code)
    return code


def _check_outside(method, here, answer):
    """No operation is for this method and path."""
    _check_answer(method, CONTRACT.outside, answer)
    if answer.status == 405:
        allowed = answer.headers["allow"].split(", ")
        taken = {operation.method for operation in here}
        taken |= {"HEAD"} if "GET" in taken else set()
        _expect(sorted(allowed) == sorted(taken), f"Allow: {answer.headers['allow']}")
    _expect(answer.status != 405 or here, "405, but the file doesn't know the path")
    _expect(answer.status != 404 or not here, f"404, but the file knows the path, though not {method}")


def _check_exchange(method, target, headers, body, answer):
    if "baton-node" not in answer.headers and answer.status in REFUSED_EARLIER:
        return
    operation, here = CONTRACT.find(method, target.partition("?")[0])
    if operation is None:
        _check_outside(method, here, answer)
        return
    code = _check_answer(method, operation.responses, answer)
    objection = _objection(operation, target, headers, body)
    if objection is not None:
        _expect(400 <= answer.status < 500 or code == "overloaded", f"the file doesn't allow this request ({objection})")
    else:
        _expect(code not in ("unknown_field", "invalid_name"), "the file allows this request")
    if code is not UNKNOWN:
        with _lock:
            _answers.add((operation.name, answer.status, code))


def exchanged(method, target, headers, body, answer):
    """Raises Mismatch when the request, its answer and the file don't go together, and remembers that in MISMATCHES: where
    it is raised, it may be in a thread that nobody waits for."""
    try:
        _check_exchange(method, target, headers, body, answer)
    except Mismatch as mismatch:
        text = f"openapi/baton.yaml and {method} {target[:200]} {(body or b'')[:200]!r}: {mismatch}; {answer!r}"
        MISMATCHES.append(text)
        raise Mismatch(text) from None


def told(kind, data):
    """The same for one event of GET /events: its data is what the file says of its kind."""
    try:
        operation, _ = CONTRACT.find("GET", "/events")
        schema = operation.responses[200].events.get(kind)
        _expect(schema is not None, "this kind isn't described")
        complaint = _complaint(schema, data)
        _expect(complaint is None, f"data: {complaint}")
        with _lock:
            _answers.add((operation.name, 200, f"event {kind}"))
            _note_members(schema, data, f"event {kind}")
    except Mismatch as mismatch:
        text = f"openapi/baton.yaml and the event {kind!r} with {data}: {mismatch}"
        MISMATCHES.append(text)
        raise Mismatch(text) from None


# ---- coverage ----


def _described():
    """(operation's name, status, code or None, schema) of everything that a run of all tests has to see."""
    for operation in CONTRACT.operations:
        for status, response in operation.responses.items():
            schemas = dict(response.problems)
            schemas.update((None, schema) for kind, schema in response.content.items() if "problem" not in kind)
            schemas.update((f"event {kind}", schema) for kind, schema in response.events.items())
            for code, schema in schemas.items():
                if (operation.name, status, code) not in NEED_NOT_BE_SEEN and (None, status, code) not in NEED_NOT_BE_SEEN:
                    yield operation.name, status, code, schema


def _members_below(schema, owner):
    owner = schema.get(COMPONENT, owner)
    for name, member in schema.get("properties", {}).items():
        yield owner, name
        yield from _members_below(member, f"{owner}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from _members_below(schema["items"], owner)
    for branch in schema.get("oneOf", []):
        yield from _members_below(branch, owner)


def unseen():
    """Lines about what stands in the file and was seen in no exchange."""
    described = list(_described())
    answers = {(name, status, code) for name, status, code, _ in described}
    members = {member for _, status, _, schema in described for member in _members_below(schema, f"answer {status}")}
    return [
        *(f"no {name} was answered {status} {code or ''}".rstrip() for name, status, code in sorted(answers - _answers, key=str)),
        *(f"no {component} had a {member}" for component, member in sorted(members - _members)),
    ]
