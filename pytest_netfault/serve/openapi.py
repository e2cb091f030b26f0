"""The description of the server's routes, as OpenAPI 3.1 (``GET /netfault/openapi.json``)."""

from __future__ import annotations

from typing import Any

from pytest_netfault.faults import FAULTS
from pytest_netfault.faults.base import fields_of, has_no_default
from pytest_netfault.serve.kinds import KINDS

__all__ = ["description"]

_BYTES = ("up_received", "up_sent", "down_received", "down_sent")
_PROXY = {"name": "proxy", "in": "path", "required": True, "schema": {"type": "string"}}
_TOXIC = {"name": "toxic", "in": "path", "required": True, "schema": {"type": "string"}}
_NUMBER = {"name": "number", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}


def description() -> dict[str, Any]:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "netfault serve",
            "version": "1",
            "description": "The HTTP API of Toxiproxy 2.12, and what netfault has besides below /netfault/.",
        },
        "paths": {**_toxiproxy_paths(), **_own_paths()},
        "components": {"schemas": _schemas()},
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _operation(
    summary: str, answer: object = None, *, status: int = 200, body: object = None, errors: str = ""
) -> dict[str, Any]:
    """One request: what it does, what it takes, and how it is answered."""
    content = {} if answer is None else {"content": {"application/json": {"schema": answer}}}
    made: dict[str, Any] = {
        "summary": summary,
        "responses": {
            str(status): {"description": summary, **content},
            **{code: {"description": "an Error"} for code in errors.split()},
        },
    }
    if body is not None:
        made["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return made


def _toxiproxy_paths() -> dict[str, Any]:
    proxy, toxic = _ref("Proxy"), _ref("Toxic")
    listed = {"type": "object", "properties": {"proxies": {"type": ["array", "null"], "items": proxy}}}
    update = _operation("update a proxy", proxy, body=_ref("ProxyUpdate"), errors="400 404 500")
    change = _operation("update a toxic", toxic, body=_ref("ToxicUpdate"), errors="400 404")
    metrics = _operation("bytes of the proxies and state of the process, for Prometheus", errors="404")
    create = _operation("create a proxy", proxy, status=201, body=_ref("ProxyCreate"), errors="400 409 500")
    many = _operation(
        "create or replace proxies",
        listed,
        status=201,
        body={"type": "array", "items": _ref("ProxyCreate")},
        errors="400 500",
    )
    return {
        "/proxies": {
            "get": _operation("all proxies by name", {"type": "object", "additionalProperties": proxy}),
            "post": create,
        },
        "/proxies/{proxy}": {
            "parameters": [_PROXY],
            "get": _operation("a proxy", proxy, errors="404"),
            "post": update,
            "patch": update,
            "delete": _operation("delete a proxy", status=204, errors="404"),
        },
        "/proxies/{proxy}/toxics": {
            "parameters": [_PROXY],
            "get": _operation("the toxics of a proxy", {"type": "array", "items": toxic}, errors="404"),
            "post": _operation("add a toxic", toxic, body=_ref("ToxicCreate"), errors="400 404 409"),
        },
        "/proxies/{proxy}/toxics/{toxic}": {
            "parameters": [_PROXY, _TOXIC],
            "get": _operation("a toxic", toxic, errors="404"),
            "post": change,
            "patch": change,
            "delete": _operation("remove a toxic", status=204, errors="404"),
        },
        "/populate": {"post": many},
        "/reset": {"post": _operation("enable all proxies, remove all toxics", status=204, errors="500")},
        "/version": {
            "get": _operation(
                "the version of the API", {"type": "object", "properties": {"version": {"type": "string"}}}
            )
        },
        "/metrics": {"get": metrics},
    }


def _own_paths() -> dict[str, Any]:
    play, fault = _ref("Schedule"), _ref("AppliedFault")
    query = [
        {"name": name, "in": "query", "schema": {"type": "number"}, "description": text}
        for name, text in (
            ("since", "only events later than this time"),
            ("limit", "at most so many, the last ones"),
        )
    ]
    events = _operation(
        "what has happened on the proxy", {"type": "array", "items": _ref("Event")}, errors="400 404"
    )
    return {
        "/netfault/openapi.json": {"get": _operation("this description", {"type": "object"})},
        "/netfault/proxies": {
            "get": _operation("all proxies with live counts", {"type": "array", "items": _ref("Summary")})
        },
        "/netfault/proxies/{proxy}": {
            "parameters": [_PROXY],
            "get": _operation("a proxy with live counts", _ref("Summary"), errors="404"),
        },
        "/netfault/proxies/{proxy}/connections": {
            "parameters": [_PROXY],
            "get": _operation(
                "the live connections", {"type": "array", "items": _ref("Connection")}, errors="404"
            ),
        },
        "/netfault/proxies/{proxy}/events": {"parameters": [_PROXY, *query], "get": events},
        "/netfault/proxies/{proxy}/bytes": {
            "parameters": [_PROXY],
            "get": _operation("bytes so far", _ref("Bytes"), errors="404"),
        },
        "/netfault/proxies/{proxy}/faults": {
            "parameters": [_PROXY],
            "get": _operation(
                "the faults in force, toxics excepted", {"type": "array", "items": fault}, errors="404"
            ),
            "post": _operation("apply a fault", fault, status=201, body=_ref("Fault"), errors="400 404"),
            "delete": _operation("heal all faults, toxics excepted", status=204, errors="404"),
        },
        "/netfault/proxies/{proxy}/faults/{number}": {
            "parameters": [_PROXY, _NUMBER],
            "delete": _operation("heal a fault", status=204, errors="404"),
        },
        "/netfault/proxies/{proxy}/schedules": {
            "parameters": [_PROXY],
            "post": _operation("play a schedule", play, status=202, body=_ref("Steps"), errors="400 404 409"),
        },
        "/netfault/schedules/{number}": {
            "parameters": [_NUMBER],
            "get": _operation("how far a schedule is", play, errors="404"),
            "delete": _operation("stop a schedule and heal its faults", status=204, errors="404"),
        },
    }


def _object(required: str = "", /, **properties: object) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "properties": properties}
    return {**made, "required": required.split()} if required else made


def _schemas() -> dict[str, Any]:
    text, whole, number, flag = ({"type": one} for one in ("string", "integer", "number", "boolean"))
    attributes = {"type": "object", "additionalProperties": number}
    toxic = {"name": text, "type": {"type": "string", "enum": sorted(KINDS)}, "stream": text}
    toxics = {"type": "array", "items": _ref("Toxic")}
    place = {"listen": text, "upstream": text, "enabled": flag}
    counts = dict.fromkeys(_BYTES, whole)
    return {
        "Error": _object("error status", error=text, status=whole),
        "Proxy": _object("name listen upstream enabled toxics", name=text, toxics=toxics, **place),
        "ProxyCreate": _object(
            "name upstream",
            name=text,
            **place,
            netfault={"const": 1, "description": "create the toxics as well"},
            toxics={"type": "array", "items": _ref("ToxicCreate")},
        ),
        "ProxyUpdate": _object(**place),
        "Toxic": _object(
            "name type stream toxicity attributes", toxicity=number, attributes=attributes, **toxic
        ),
        "ToxicCreate": {
            **_object("type", toxicity=number, attributes=attributes, **toxic),
            "description": "\n".join(f"{name}: {kind.effect}" for name, kind in KINDS.items()),
        },
        "ToxicUpdate": _object(toxicity=number, attributes=attributes),
        "Bytes": _object(" ".join(_BYTES), **counts),
        "Summary": _object(
            "name listen upstream enabled connections accepted bytes",
            name=text,
            connections=whole,
            accepted=whole,
            bytes=_ref("Bytes"),
            **place,
        ),
        "Connection": _object(
            "number client upstream bytes_up bytes_down state",
            number=whole,
            client=text,
            upstream=text,
            bytes_up=whole,
            bytes_down=whole,
            state=text,
        ),
        "Event": _object(
            "time link kind", time=number, link=text, kind=text, connection={"type": ["integer", "null"]}
        ),
        "Fault": {"oneOf": [_fault_schema(kind) for kind in FAULTS]},
        "AppliedFault": _object("number fault", number={"type": ["integer", "null"]}, fault=text),
        "Steps": _object("steps", steps={"type": "array", "items": {"type": "object"}}, timeout=number),
        "Schedule": _object(
            "schedule proxy steps done state",
            schedule=whole,
            proxy=text,
            steps=whole,
            done=whole,
            state=text,
            detail=text,
        ),
    }


def _fault_schema(kind: type[Any]) -> dict[str, Any]:
    """One of our faults, as :func:`.fault_to_json` writes it."""
    fields = fields_of(kind)
    required = ["fault", *(field.name for field in fields if has_no_default(field))]
    return {
        "type": "object",
        "description": kind.traits.effect,
        "properties": {"fault": {"const": kind.__name__.lower()}, **{field.name: {} for field in fields}},
        "required": required,
        "additionalProperties": False,
    }
