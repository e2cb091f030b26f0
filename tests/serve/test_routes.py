"""Our own routes: what happens on a proxy, faults of ours, schedules, and their description."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from support.serving import Serving, Upstream

FAULTS = "/netfault/proxies/p/faults"


def test_connections_and_bytes_are_live(serving: Serving, upstream: Upstream) -> None:
    client, server = upstream.connect(serving.create("p", upstream.address))
    client.sendall(b"12345")
    assert server.recv(10) == b"12345"
    [one] = serving.ask("GET", "/netfault/proxies/p/connections").json
    assert one["client"] == f"127.0.0.1:{client.getsockname()[1]}"
    assert (one["number"], one["upstream"], one["bytes_up"], one["state"]) == (1, upstream.address, 5, "open")
    counts = {"up_received": 5, "up_sent": 5, "down_received": 0, "down_sent": 0}
    assert serving.ask("GET", "/netfault/proxies/p/bytes").json == counts
    [summary] = serving.ask("GET", "/netfault/proxies").json
    assert summary == serving.ask("GET", "/netfault/proxies/p").json
    assert (summary["connections"], summary["accepted"], summary["bytes"]) == (1, 1, counts)


def test_bytes_outlive_connections_and_what_was_swallowed_was_received(
    serving: Serving, upstream: Upstream
) -> None:
    client, server = upstream.connect(serving.create("p", upstream.address))
    serving.ask("POST", "/proxies/p/toxics", {"type": "timeout"})
    server.sendall(b"lost")
    client.sendall(b"fine")
    assert server.recv(10) == b"fine"
    serving.ask("POST", "/proxies/p", {"enabled": False})
    counts = {"up_received": 4, "up_sent": 4, "down_received": 4, "down_sent": 0}
    assert serving.ask("GET", "/netfault/proxies/p/bytes").json == counts


def test_events(serving: Serving, upstream: Upstream) -> None:
    client, server = upstream.connect(serving.create("p", upstream.address))
    client.sendall(b"y")  # once it arrives, the proxy has noted that it is connected
    assert server.recv(1) == b"y"
    serving.ask("POST", "/proxies/p/toxics", {"type": "timeout", "name": "t"})  # and it meets nothing
    events = serving.ask("GET", "/netfault/proxies/p/events").json
    kinds = [event["kind"] for event in events]
    assert kinds[:3] == ["accepted", "connected", "fault"]
    assert events[2]["fault"]["toxic"]["name"] == "t"
    since = events[1]["time"]
    later = serving.ask("GET", f"/netfault/proxies/p/events?since={since}").json
    assert later == [event for event in events if event["time"] > since]
    assert len(serving.ask("GET", "/netfault/proxies/p/events?limit=1").json) == 1
    assert serving.ask("GET", "/netfault/proxies/p/events?since=soon").status == 400


class TestFaults:
    def test_one_is_applied_and_healed(self, serving: Serving, upstream: Upstream) -> None:
        place = serving.create("p", upstream.address)
        answer = serving.ask("POST", FAULTS, {"fault": "refuse"})
        assert (answer.status, answer.json) == (201, {"number": 1, "fault": "refuse"})
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place, timeout=30)
        assert serving.ask("GET", FAULTS).json == [{"number": 1, "fault": "refuse"}]
        assert serving.ask("GET", "/proxies/p/toxics").json == []
        assert serving.ask("DELETE", f"{FAULTS}/1").status == 204
        assert serving.ask("DELETE", f"{FAULTS}/1").status == 404
        upstream.connect(place)

    def test_what_is_over_at_once_has_no_number(self, serving: Serving, upstream: Upstream) -> None:
        client, _ = upstream.connect(serving.create("p", upstream.address))
        assert serving.ask("POST", FAULTS, {"fault": "reset"}).json == {"number": None, "fault": "reset"}
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert serving.ask("GET", FAULTS).json == []

    def test_it_comes_again_when_the_proxy_is_enabled(self, serving: Serving, upstream: Upstream) -> None:
        place = serving.create("p", upstream.address, enabled=False, listen="127.0.0.1:0")
        serving.ask("POST", FAULTS, {"fault": "cut", "after_bytes": 2})
        listen = serving.ask("POST", "/proxies/p", {"enabled": True}).json["listen"]
        client, server = upstream.connect((place[0], int(listen.rpartition(":")[2])))
        server.sendall(b"abc")
        assert client.recv(2, socket.MSG_WAITALL) == b"ab"
        assert client.recv(1) == b""

    def test_one_with_a_limit_heals_itself_and_does_not_come_again(
        self, serving: Serving, upstream: Upstream
    ) -> None:
        place = serving.create("p", upstream.address)
        body = {"fault": "refuse", "count": 1}
        assert serving.ask("POST", FAULTS, body).json == {"number": 1, **body}
        with pytest.raises(ConnectionError):  # noqa: PT012
            with socket.create_connection(place, timeout=30) as client:
                client.recv(1)
            raise ConnectionResetError
        upstream.connect(place)
        assert serving.ask("GET", FAULTS).json == []
        for enabled in (False, True):
            serving.ask("POST", "/proxies/p", {"enabled": enabled})
        upstream.connect(place)

    def test_all_are_healed_and_toxics_stay(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1")
        serving.ask("POST", "/proxies/p/toxics", {"type": "noop"})
        for _ in range(2):
            serving.ask("POST", FAULTS, {"fault": "delay", "seconds": 1})
        assert serving.ask("DELETE", FAULTS).status == 204
        assert serving.ask("GET", FAULTS).json == []
        assert len(serving.ask("GET", "/proxies/p/toxics").json) == 1

    def test_a_reset_takes_them_away(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1")
        serving.ask("POST", FAULTS, {"fault": "delay", "seconds": 1})
        serving.ask("POST", "/reset")
        assert serving.ask("GET", FAULTS).json == []

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (b"", "bad request body: "),
            (b"NaN", "bad request body: "),
            (b"[]", "a fault must be a JSON object"),
            (b'{"fault": "nonsense"}', "fault must be one of"),
            (b'{"fault": "delay"}', "delay: "),
            (b'{"fault": "delay", "seconds": -1}', "seconds must be at least 0"),
            (b'{"fault": "delay", "seconds": true}', "delay: seconds must be a number"),
            (b'{"fault": "sever", "x": 1}', "sever takes connections, seconds, share, not x"),
        ],
    )
    def test_what_is_none_is_said(self, serving: Serving, body: bytes, text: str) -> None:
        serving.create("p", "127.0.0.1:1")
        answer = serving.ask("POST", FAULTS, body)
        assert answer.status == 400
        assert answer.json["error"].startswith(text)


class TestSchedules:
    def test_steps_wait_for_what_happens(self, serving: Serving, upstream: Upstream) -> None:
        place = serving.create("p", upstream.address)
        steps = [
            {"step": "connected"},
            {"step": "passed", "count": 3, "direction": "up"},
            {"step": "break", "fault": {"fault": "blackhole"}},
            {"step": "heal"},
            {"step": "break", "fault": {"fault": "sever"}},
        ]
        answer = serving.ask("POST", "/netfault/proxies/p/schedules", {"steps": steps})
        assert (answer.status, answer.json["state"], answer.json["steps"]) == (202, "playing", 5)
        path = f"/netfault/schedules/{answer.json['schedule']}"
        client, server = upstream.connect(place)
        assert serving.ask("GET", path).json["state"] == "playing"
        client.sendall(b"123")
        assert server.recv(10) == b"123"
        assert client.recv(1) == b""
        play = serving.ask("GET", path).json
        while play["state"] == "playing":
            play = serving.ask("GET", path).json
        assert (play["state"], play["done"]) == ("played", 5)
        assert [one["fault"] for one in serving.ask("GET", FAULTS).json] == ["sever"]

    def test_it_is_stopped(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1")
        steps = [{"step": "break", "fault": {"fault": "sever"}}, {"step": "connected"}]
        number = serving.ask("POST", "/netfault/proxies/p/schedules", {"steps": steps}).json["schedule"]
        assert serving.ask("DELETE", f"/netfault/schedules/{number}").status == 204
        state = "playing"
        while state == "playing":
            state = serving.ask("GET", f"/netfault/schedules/{number}").json["state"]
        assert state == "stopped"
        assert serving.ask("GET", FAULTS).json == []

    def test_stopped_late_it_leaves_a_new_proxy_of_that_name_alone(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1")
        steps = [{"step": "break", "fault": {"fault": "sever"}}]
        number = serving.ask("POST", "/netfault/proxies/p/schedules", {"steps": steps}).json["schedule"]
        while serving.ask("GET", f"/netfault/schedules/{number}").json["state"] == "playing":
            pass
        serving.ask("DELETE", "/proxies/p")
        serving.create("p", "127.0.0.1:1")
        assert serving.ask("POST", FAULTS, {"fault": "refuse"}).json["number"] == 1
        assert serving.ask("DELETE", f"/netfault/schedules/{number}").status == 204
        assert serving.ask("GET", FAULTS).json == [{"number": 1, "fault": "refuse"}]

    def test_what_never_happens_is_a_failure(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1")
        body = {"steps": [{"step": "connected"}], "timeout": 0.01}
        number = serving.ask("POST", "/netfault/proxies/p/schedules", body).json["schedule"]
        play = {"state": "playing"}
        while play["state"] == "playing":
            play = serving.ask("GET", f"/netfault/schedules/{number}").json
        assert play["state"] == "failed"
        assert "TimeoutError: waited 0.01 s for 1 connection" in play["detail"]

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ({}, 'a schedule must be a JSON object with "steps"'),
            ({"steps": [{"step": "write", "key": "a"}]}, "step 1: write is not of the network"),
            ({"steps": [{"step": "heal"}, {"step": "nonsense"}]}, "step 2: step must be one of"),
            ({"steps": [], "timeout": 0}, "timeout must be more than 0"),
        ],
    )
    def test_what_cannot_be_played_is_said(self, serving: Serving, body: dict[str, Any], text: str) -> None:
        serving.create("p", "127.0.0.1:1")
        answer = serving.ask("POST", "/netfault/proxies/p/schedules", body)
        assert answer.status == 400
        assert answer.json["error"].startswith(text)

    def test_a_disabled_proxy_plays_none(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1", enabled=False)
        assert serving.ask("POST", "/netfault/proxies/p/schedules", {"steps": []}).status == 409


def test_what_is_not_there_is_not_found(serving: Serving) -> None:
    for path in ("", "/connections", "/events", "/bytes", "/faults"):
        assert serving.ask("GET", f"/netfault/proxies/q{path}").status == 404
    for number in ("7", "x", "-1", "9" * 40):
        assert serving.ask("GET", f"/netfault/schedules/{number}").status == 404


def test_every_route_is_described(serving: Serving) -> None:
    description = serving.ask("GET", "/netfault/openapi.json").json
    assert description["openapi"].startswith("3.1")
    methods = ("get", "post", "patch", "delete", "put")
    known = {
        (path, method) for path, item in description["paths"].items() for method in methods if method in item
    }
    schemas = description["components"]["schemas"]

    def references(value: object) -> list[str]:
        if isinstance(value, dict):
            return [
                text for key, one in value.items() for text in ([one] if key == "$ref" else references(one))
            ]
        return [text for one in value for text in references(one)] if isinstance(value, list) else []

    assert {one.removeprefix("#/components/schemas/") for one in references(description)} <= set(schemas)
    for path, item in description["paths"].items():
        there = path.format(proxy="p", toxic="t", number="1")
        for method in methods:
            status = serving.ask(method.upper(), there).status
            described = (path, method) in known or path == "/metrics"
            assert (status == 405) is not described, (method, path)
        assert {one["name"] for one in item.get("parameters", ()) if one["in"] == "path"} == {
            part[1:-1] for part in path.split("/") if part.startswith("{")
        }


def test_metrics(serving: Serving, upstream: Upstream) -> None:
    client, server = upstream.connect(serving.create('a"b\n', upstream.address))
    client.sendall(b"12345")
    assert server.recv(10) == b"12345"
    answer = serving.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.body.decode()
    listener = serving.ask("GET", "/netfault/proxies").json[0]["listen"]
    labels = f'direction="upstream",listener="{listener}",proxy="a\\"b\\n",upstream="{upstream.address}"'
    assert f"toxiproxy_proxy_received_bytes_total{{{labels}}} 5\n" in text
    assert f"toxiproxy_proxy_sent_bytes_total{{{labels}}} 5\n" in text
    assert "process_resident_memory_bytes " in text
    assert "go_info" not in text
