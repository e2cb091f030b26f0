"""The routes of Toxiproxy: statuses, bodies and headers, as its clients know them."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from typing import Any

import pytest
from support.serving import Serving

PLAIN = "text/plain; charset=utf-8"
PROXY = {"name": "p", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0"}


def error(text: str, status: int) -> bytes:
    return json.dumps({"error": text, "status": status}, separators=(",", ":")).encode() + b"\n"


class TestVersion:
    def test_it_is_that_of_toxiproxy(self, serving: Serving) -> None:
        answer = serving.ask("GET", "/version")
        assert (answer.status, answer.body) == (200, b'{"version": "2.12.0"}\n')
        assert answer.headers["content-type"] == "application/json;charset=utf-8"

    def test_matched_routes_have_a_number_for_the_request(self, serving: Serving) -> None:
        numbers = {serving.ask("GET", "/version").headers["x-toxiproxy-request-id"] for _ in range(3)}
        assert len(numbers) == 3
        assert all(re.fullmatch("[0-9a-z]{20}", number) for number in numbers)
        for method, path in (("GET", "/nope"), ("PUT", "/proxies")):
            assert "x-toxiproxy-request-id" not in serving.ask(method, path).headers


class TestRouting:
    @pytest.mark.parametrize(
        "path",
        ["/", "/nope", "/proxies/", "/proxies/p/", "/proxies/a%2Fb", "/proxies/p%2ftoxics", "/version/"],
    )
    def test_what_is_no_route_is_not_found(self, serving: Serving, path: str) -> None:
        answer = serving.ask("GET", path)
        assert (answer.status, answer.body) == (404, b"404 page not found\n")
        assert answer.headers["content-type"] == PLAIN

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("HEAD", "/version"),
            ("OPTIONS", "/proxies"),
            ("PUT", "/proxies"),
            ("DELETE", "/proxies"),
            ("GET", "/reset"),
            ("GET", "/populate"),
            ("PUT", "/proxies/p"),
            ("PATCH", "/proxies/p/toxics"),
        ],
    )
    def test_another_method_has_an_empty_answer(self, serving: Serving, method: str, path: str) -> None:
        answer = serving.ask(method, path)
        assert (answer.status, answer.body) == (405, b"")

    def test_a_browser_is_refused(self, serving: Serving) -> None:
        browser = {"User-Agent": "Mozilla/5.0 (X11)"}
        answer = serving.ask("GET", "/proxies", headers=browser)
        assert (answer.status, answer.body) == (403, b"User agent not allowed\n")
        assert serving.ask("GET", "/nope", headers=browser).status == 404


class TestHttp:
    def test_a_connection_is_kept_for_several_requests(self, serving: Serving) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", serving.port)) as connection:
            for _ in range(3):
                connection.request("POST", "/reset", b"ignored")
                assert connection.getresponse().read() == b""
            used = connection.sock
            connection.request("GET", "/version")
            connection.getresponse().read()
            assert connection.sock is used

    def test_a_body_may_come_in_chunks(self, serving: Serving) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", serving.port)) as connection:
            text = json.dumps(PROXY).encode()
            connection.request(
                "POST",
                "/proxies",
                iter([text[:5], text[5:]]),
                encode_chunked=True,
                headers={"Transfer-Encoding": "chunked"},
            )
            assert connection.getresponse().status == 201

    def test_a_body_is_asked_for(self, serving: Serving) -> None:
        with (
            socket.create_connection(("127.0.0.1", serving.port), timeout=30) as sock,
            sock.makefile("rb") as lines,
        ):
            text = json.dumps(PROXY).encode()
            head = f"POST /proxies HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(text)}\r\n\r\n"
            sock.sendall(head.encode())
            assert b"100" in lines.readline()
            sock.sendall(text)
            assert b"\r\n" in iter(lines.readline, b"")  # the end of that answer's headers
            assert b"201" in lines.readline()

    def test_a_delete_may_have_a_body(self, serving: Serving) -> None:
        serving.ask("POST", "/proxies", PROXY)
        assert serving.ask("DELETE", "/proxies/p", b"{}").status == 204


class TestCreate:
    def test_the_answer_is_the_proxy(self, serving: Serving) -> None:
        answer = serving.ask("POST", "/proxies", {**PROXY, "toxics": None})
        assert answer.status == 201
        assert answer.headers["content-type"] == "application/json"
        assert re.fullmatch(
            rb'\{"name":"p","listen":"127\.0\.0\.1:[1-9]\d+","upstream":"127\.0\.0\.1:1","enabled":true,'
            rb'"Logger":\{\},"toxics":\[\]\}',
            answer.body,
        )
        assert serving.ask("GET", "/proxies/p").body == answer.body
        assert serving.ask("GET", "/proxies").body == b'{"p":' + answer.body + b"}"

    @pytest.mark.parametrize(
        ("body", "status", "text"),
        [
            (b"", 400, "bad request body: EOF"),
            (b"  ", 400, "bad request body: EOF"),
            (b'{"name": "p"', 400, "bad request body: unexpected EOF"),
            (b'{"name": "p', 400, "bad request body: unexpected EOF"),
            (b'{"name": tr', 400, "bad request body: unexpected EOF"),
            (b"{}", 400, "missing required field: name"),
            (b"null", 400, "missing required field: name"),
            (b'{"name": "p"}', 400, "missing required field: upstream"),
            (b'{"upstream": "x:1"}', 400, "missing required field: name"),
            (b'{"name": "p", "upstream": "x:1", "listen": "bogus"}', 500,
             "listen tcp: address bogus: missing port in address"),
            (b'{"name": "p", "upstream": "x:1", "listen": "127.0.0.1:99999"}', 500,
             "listen tcp: address 127.0.0.1:99999: invalid port"),
            (b'{"name": "p", "upstream": "x:1", "listen": "::1:0"}', 500,
             "listen tcp: address ::1:0: too many colons in address"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_in_the_words_of_toxiproxy(
        self, serving: Serving, body: bytes, status: int, text: str
    ) -> None:
        answer = serving.ask("POST", "/proxies", body)
        assert (answer.status, answer.body) == (status, error(text, status))
        assert answer.headers["content-type"] == PLAIN
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert serving.ask("GET", "/proxies").body == b"{}"

    @pytest.mark.parametrize(
        "body",
        [
            b"[]",
            b"7",
            b'"p"',
            b"nonsense",
            b"NaN",
            b'{"name": 7}',
            b'{"enabled": "yes"}',
            b'{"name": "p", "upstream": ["x"]}',
            b"[" * 100_000,
            b'{"a": "\x01"}',
        ],
    )
    def test_what_is_no_proxy_is_a_bad_body(self, serving: Serving, body: bytes) -> None:
        answer = serving.ask("POST", "/proxies", body)
        assert answer.status == 400
        assert answer.json["error"].startswith("bad request body: ")

    def test_keys_match_in_any_case_and_what_is_unknown_is_ignored(self, serving: Serving) -> None:
        body = b' {"NAME": "p", "Upstream": "x:1", "listen": "127.0.0.1:0", "enabled": null, "other": 1} and more'
        answer = serving.ask("POST", "/proxies", body)
        assert (answer.status, answer.json["enabled"]) == (201, True)

    def test_a_name_may_be_anything(self, serving: Serving) -> None:
        assert serving.ask("POST", "/proxies", {**PROXY, "name": "a <b> & \u2028 ü"}).status == 201
        answer = serving.ask("GET", "/proxies/a%20%3Cb%3E%20%26%20%E2%80%A8%20%C3%BC")
        assert rb'"name":"a \u003cb\u003e \u0026 \u2028 ' + "ü".encode() in answer.body
        assert serving.ask("DELETE", "/proxies/a%20%3Cb%3E%20%26%20%E2%80%A8%20%C3%BC").status == 204

    def test_a_name_that_is_taken_is_a_conflict_whatever_else_is_wrong(self, serving: Serving) -> None:
        serving.ask("POST", "/proxies", PROXY)
        answer = serving.ask("POST", "/proxies", {**PROXY, "listen": "bogus"})
        assert (answer.status, answer.body) == (409, error("proxy already exists", 409))

    def test_a_port_that_is_taken(self, serving: Serving) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            answer = serving.ask("POST", "/proxies", {**PROXY, "listen": f"localhost:{port}"})
        text = f"listen tcp 127.0.0.1:{port}: bind: address already in use"
        assert (answer.status, answer.body) == (500, error(text, 500))

    def test_without_an_address_it_listens_on_all(self, serving: Serving) -> None:
        listen = serving.ask("POST", "/proxies", {"name": "p", "upstream": "127.0.0.1:1"}).json["listen"]
        assert re.fullmatch(r"\[::\]:\d+|0\.0\.0\.0:\d+", listen)
        for _ in range(20):  # that nobody answers upstream is no reason to refuse
            socket.create_connection(("127.0.0.1", int(listen.rpartition(":")[2])), timeout=30).close()

    def test_a_name_is_shown_as_its_address(self, serving: Serving) -> None:
        listen = serving.ask("POST", "/proxies", {**PROXY, "listen": "localhost:0"}).json["listen"]
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d+", listen)

    def test_created_disabled_it_is_not_looked_at(self, serving: Serving) -> None:
        answer = serving.ask("POST", "/proxies", {**PROXY, "listen": "bogus", "enabled": False})
        assert (answer.status, answer.json["listen"], answer.json["enabled"]) == (201, "bogus", False)
        answer = serving.ask("POST", "/proxies/p", {"enabled": True})
        assert (answer.status, answer.json["error"]) == (
            500,
            "listen tcp: address bogus: missing port in address",
        )


class TestPopulate:
    def test_the_answer_is_the_proxies_in_order(self, serving: Serving) -> None:
        answer = serving.ask(
            "POST", "/populate", [{**PROXY, "name": "z"}, {**PROXY, "name": "a", "enabled": False}]
        )
        assert answer.status == 201
        assert [(one["name"], one["enabled"]) for one in answer.json["proxies"]] == [
            ("z", True),
            ("a", False),
        ]
        assert list(serving.ask("GET", "/proxies").json) == ["a", "z"]

    @pytest.mark.parametrize("body", [b"[]", b"null"])
    def test_an_empty_list(self, serving: Serving, body: bytes) -> None:
        answer = serving.ask("POST", "/populate", body)
        assert (answer.status, answer.body) == (201, b'{"proxies":null}')

    def test_nothing_is_created_where_a_field_is_missing(self, serving: Serving) -> None:
        answer = serving.ask("POST", "/populate", [PROXY, {"name": "q"}])
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/json"
        text = b"missing required field: upstream at proxy 2"
        assert answer.body == b'{"error":"' + text + b'","status":400,"proxies":null}'
        assert serving.ask("GET", "/proxies").json == {}

    def test_what_was_created_before_a_failure_stays(self, serving: Serving) -> None:
        bad = {**PROXY, "name": "bad", "listen": "bogus"}
        answer = serving.ask("POST", "/populate", [PROXY, bad, {**PROXY, "name": "later"}])
        assert answer.status == 500
        assert answer.json["error"] == "listen tcp: address bogus: missing port in address"
        assert [one["name"] for one in answer.json["proxies"]] == ["p"]
        assert list(serving.ask("GET", "/proxies").json) == ["p"]

    def test_the_same_proxy_is_left_alone_and_another_is_replaced(self, serving: Serving) -> None:
        listen = serving.ask("POST", "/proxies", PROXY).json["listen"]
        serving.ask("POST", "/proxies/p/toxics", {"type": "latency"})
        serving.ask("POST", "/proxies/p", {"enabled": False})
        same = serving.ask("POST", "/populate", [{**PROXY, "listen": listen}]).json["proxies"][0]
        assert (same["enabled"], len(same["toxics"])) == (False, 1)
        other = serving.ask("POST", "/populate", [{**PROXY, "upstream": "127.0.0.1:2"}]).json["proxies"][0]
        assert (other["enabled"], other["toxics"], other["upstream"]) == (True, [], "127.0.0.1:2")

    def test_a_bad_body(self, serving: Serving) -> None:
        answer = serving.ask("POST", "/populate", b"{}")
        assert answer.status == 400
        assert answer.json["error"].startswith("bad request body: ")
        assert answer.json["proxies"] is None


class TestReset:
    def test_all_are_enabled_without_toxics(self, serving: Serving) -> None:
        serving.ask("POST", "/proxies", {**PROXY, "enabled": False})
        serving.ask("POST", "/proxies/p/toxics", {"type": "latency"})
        answer = serving.ask("POST", "/reset", b"whatever")
        assert (answer.status, answer.body) == (204, b"")
        proxy = serving.ask("GET", "/proxies/p").json
        assert (proxy["enabled"], proxy["toxics"]) == (True, [])

    def test_a_port_that_is_taken(self, serving: Serving) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            serving.ask("POST", "/proxies", {**PROXY, "listen": f"127.0.0.1:{port}", "enabled": False})
            answer = serving.ask("POST", "/reset")
        assert answer.status == 500
        assert answer.json["error"] == f"listen tcp 127.0.0.1:{port}: bind: address already in use"


class TestToxics:
    @pytest.fixture(autouse=True)
    def _proxy(self, serving: Serving) -> None:
        serving.ask("POST", "/proxies", PROXY)

    def test_the_answer_is_the_toxic(self, serving: Serving) -> None:
        answer = serving.ask(
            "POST",
            "/proxies/p/toxics",
            {"type": "latency", "toxicity": 0.2, "attributes": {"latency": 100, "x": 1}},
        )
        assert answer.status == 200
        text = b'{"attributes":{"latency":100,"jitter":0},"name":"latency_downstream","type":"latency",'
        assert answer.body == text + b'"stream":"downstream","toxicity":0.2}'
        assert serving.ask("GET", "/proxies/p/toxics").body == b"[" + answer.body + b"]"
        assert serving.ask("GET", "/proxies/p/toxics/latency_downstream").body == answer.body

    @pytest.mark.parametrize(
        ("body", "status", "text"),
        [
            ({"type": "latency", "stream": ""}, 400, "stream was invalid, can be either upstream or downstream"),
            ({"type": "nonsense", "stream": "walrus"}, 400,
             "stream was invalid, can be either upstream or downstream"),
            ({"type": "nonsense"}, 400, "invalid toxic type"),
            ({"type": "down"}, 400, "invalid toxic type"),
            ({}, 400, "invalid toxic type"),
            ({"type": "noop", "name": "taken", "stream": "upstream"}, 409, "toxic already exists"),
            ({"type": "latency", "name": "taken", "attributes": {"latency": "x"}}, 409, "toxic already exists"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_said_in_order(
        self, serving: Serving, body: dict[str, Any], status: int, text: str
    ) -> None:
        serving.ask("POST", "/proxies/p/toxics", {"type": "noop", "name": "taken"})
        answer = serving.ask("POST", "/proxies/p/toxics", body)
        assert (answer.status, answer.body) == (status, error(text, status))

    @pytest.mark.parametrize(
        "value", [b"1.5", b"100.0", b"1e2", b'"100"', b"true", b"[]", b"9223372036854775808"]
    )
    def test_attributes_are_whole_numbers(self, serving: Serving, value: bytes) -> None:
        body = b'{"type": "latency", "attributes": {"latency": ' + value + b"}}"
        answer = serving.ask("POST", "/proxies/p/toxics", body)
        assert answer.status == 400
        assert answer.json["error"].startswith("bad request body: ")
        assert serving.ask("GET", "/proxies/p/toxics").body == b"[]"

    @pytest.mark.parametrize(
        ("kind", "attributes", "name"),
        [
            ("slicer", {}, "average_size"),
            ("slicer", {"average_size": 4, "size_variation": 5}, "size_variation"),
            ("slicer", {"average_size": 4, "delay": -1}, "delay"),
            ("bandwidth", {"rate": -1}, "rate"),
            ("bandwidth", {"rate": 2**63 - 1}, "rate"),
            ("latency", {"latency": -1}, "latency"),
            ("latency", {"jitter": 2**63 - 1}, "jitter"),
            ("timeout", {"timeout": -1}, "timeout"),
            ("packet_loss", {"loss_rate": 1.5}, "loss_rate"),
        ],
    )
    def test_what_has_no_meaning_names_the_attribute(
        self, serving: Serving, kind: str, attributes: dict[str, object], name: str
    ) -> None:
        answer = serving.ask("POST", "/proxies/p/toxics", {"type": kind, "attributes": attributes})
        assert answer.status == 400
        assert answer.json["error"].startswith(f"bad request body: {name} ")

    def test_a_variation_as_large_as_the_average_is_one(self, serving: Serving) -> None:
        body = {"type": "slicer", "attributes": {"average_size": 4, "size_variation": 4}}
        assert serving.ask("POST", "/proxies/p/toxics", body).status == 200

    def test_every_type_has_its_attributes(self, serving: Serving) -> None:
        attributes = {
            "bandwidth": {"rate": 0},
            "latency": {"latency": 0, "jitter": 0},
            "limit_data": {"bytes": 0},
            "noop": {},
            "reset_peer": {"timeout": 0},
            "slow_close": {"delay": 0},
            "timeout": {"timeout": 0},
        }
        for kind, empty in attributes.items():
            answer = serving.ask("POST", "/proxies/p/toxics", {"type": kind, "attributes": None})
            assert (answer.status, answer.json["attributes"]) == (200, empty), kind

    @pytest.mark.linux("packet_loss needs a socket filter")
    def test_packet_loss_has_its_attributes(self, serving: Serving) -> None:
        answer = serving.ask("POST", "/proxies/p/toxics", {"type": "packet_loss", "attributes": None})
        assert (answer.status, answer.json["attributes"]) == (200, {"loss_rate": 0, "correlation": 0})

    def test_the_order_is_upstream_then_downstream(self, serving: Serving) -> None:
        for name, stream in (("a", "downstream"), ("b", "upstream"), ("c", "both"), ("d", "UPSTREAM")):
            serving.ask("POST", "/proxies/p/toxics", {"type": "noop", "name": name, "stream": stream})
        toxics = serving.ask("GET", "/proxies/p/toxics").json
        assert [(one["name"], one["stream"]) for one in toxics] == [
            ("b", "upstream"),
            ("d", "UPSTREAM"),
            ("a", "downstream"),
            ("c", "both"),
        ]
        assert serving.ask("GET", "/proxies/p").json["toxics"] == toxics

    def test_a_name_follows_the_stream_as_it_was_written(self, serving: Serving) -> None:
        answer = serving.ask("POST", "/proxies/p/toxics", {"type": "noop", "stream": "Upstream"})
        assert answer.json["name"] == "noop_Upstream"

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_an_update_leaves_what_it_does_not_name(self, serving: Serving, method: str) -> None:
        serving.ask(
            "POST",
            "/proxies/p/toxics",
            {"type": "latency", "name": "t", "attributes": {"latency": 5, "jitter": 2}},
        )
        answer = serving.ask(
            method, "/proxies/p/toxics/t", {"attributes": {"latency": 7}, "name": "x", "type": "noop"}
        )
        assert (answer.status, answer.json["attributes"]) == (200, {"latency": 7, "jitter": 2})
        answer = serving.ask(method, "/proxies/p/toxics/t", {"toxicity": 0.3})
        assert (answer.json["toxicity"], answer.json["attributes"]["latency"]) == (0.3, 7)
        answer = serving.ask(method, "/proxies/p/toxics/t", {"attributes": {"latency": -1}, "toxicity": 1})
        assert answer.status == 400
        assert serving.ask("GET", "/proxies/p/toxics/t").json["toxicity"] == 0.3

    def test_what_is_not_there_is_not_found_before_the_body_is_read(self, serving: Serving) -> None:
        for path in ("/proxies/q", "/proxies/q/toxics", "/proxies/q/toxics/t"):
            answer = serving.ask("POST", path, b"nonsense")
            assert (answer.status, answer.body) == (404, error("proxy not found", 404))
        for method in ("GET", "POST", "PATCH", "DELETE"):
            answer = serving.ask(method, "/proxies/p/toxics/t", b"nonsense")
            assert (answer.status, answer.body) == (404, error("toxic not found", 404))

    def test_a_toxic_is_removed(self, serving: Serving) -> None:
        serving.ask("POST", "/proxies/p/toxics", {"type": "noop", "name": "t"})
        answer = serving.ask("DELETE", "/proxies/p/toxics/t")
        assert (answer.status, answer.body) == (204, b"")
        assert serving.ask("GET", "/proxies/p/toxics").body == b"[]"

    def test_toxics_of_a_create_count_only_if_they_are_meant(self, serving: Serving) -> None:
        toxics = [{"type": "latency", "attributes": {"latency": 9}}]
        for name, more, count in (("echo", {}, 0), ("meant", {"netfault": 1}, 1)):
            body = {**PROXY, "name": name, "toxics": toxics, **more}
            assert len(serving.ask("POST", "/proxies", body).json["toxics"]) == count
        answer = serving.ask(
            "POST", "/populate", [{**PROXY, "name": "many", "toxics": toxics, "netfault": 1}]
        )
        assert answer.json["proxies"][0]["toxics"][0]["attributes"]["latency"] == 9
        bad = {**PROXY, "name": "bad", "toxics": [{"type": "nonsense"}], "netfault": 1}
        answer = serving.ask("POST", "/populate", [bad])
        assert (answer.status, answer.json["error"]) == (400, "invalid toxic type at proxy 1")
