"""A link against a plain model: random faults, heals, connects, writes, half-closes and resets; a TLS link as well.

The model knows what each side has said, which connections something has ended, and which directions a fault
keeps from moving. It never looks inside the proxy. What it checks:

* a receiver never sees a byte that was not sent, nor one out of order, nor an ending before the bytes;
* what nothing holds arrives; what was held arrives once it is healed;
* a fault that is limited to some connections does nothing to the others, and refuses those that come;
* connections end only for a reason, and in the way of that reason; a cut is exact;
* on a TLS link all of that is so of the plaintext, an end with close_notify stays one, and one without is truncation;
* the counts that the link shows are what the receivers got;
* bytes are damaged only where a corruption was in force;
* a bad argument is an error at the call and changes nothing; once all is closed, the proxy watches and waits for
  nothing.

A step is one rule that was played: one thing that the test did, and the invariants behind it. The suite plays a few
hundred. More of them, with their number and time told at the end:

    NETFAULT_STEPS=10000 python -m pytest -s tests/proxy/test_state_machine.py
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.tls_peer import TlsPeer, shake_hands

from pytest_netfault import TLS
from pytest_netfault.control import ActiveFault, Link, ProxyThread, net_on
from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
    directions_of,
    limits_of,
)

STEPS = int(os.environ.get("NETFAULT_STEPS", "400"))
STEPS_OF_ONE = 50
PATIENCE = 20.0
# All that one direction says fits into the kernel's smallest buffer, so that writing never blocks.
MOST_SAID = 30_000

directions = st.sampled_from(["up", "down"])
claims = st.sampled_from(["up", "down", "both"])
some = {
    "connections": st.sampled_from([None, None, None, 1, 2, range(1, 3), range(2, 99), (1, 3)]),
    "share": st.sampled_from([None, None, None, 0.5, 0.2]),
}
# It may be over at any time: only for what the model does not notice.
soon = st.sampled_from([None, None, 0.002, 0.05])
moving_faults = st.one_of(
    st.builds(
        Delay,
        st.sampled_from([0, 0.001, 0.003]),
        st.sampled_from([0, 0.002]),
        claims,
        heal_after=soon,
        **some,
    ),
    st.builds(Throttle, st.sampled_from([3e6, 1e9]), claims, seconds=soon, **some),
    st.builds(Slice, st.integers(100, 5000), st.just(0), claims, seconds=soon, **some),
    st.builds(Refuse, count=st.sampled_from([None, None, 1, 2]), **some),
    st.builds(StallAccept, **some),
)
holding_faults = st.one_of(
    st.builds(
        Blackhole, claims, st.just(False), st.sampled_from(["resume", "resume", "sever", "reset"]), **some
    ),
    st.builds(Delay, st.just(3600), st.just(0), claims, **some),
    st.builds(Throttle, st.just(0.5), claims, **some),
    st.builds(Slice, st.just(700), st.just(3600), claims, **some),
)
how = st.sampled_from(["fin", "rst", "blackhole"])
places = st.one_of(st.integers(0, 20), st.integers(0, 8000))
cuts = st.builds(Cut, places, claims, st.none() | st.integers(1, 5), how) | st.builds(
    Cut, places, claims, how=how, **some
)
corruptions = st.builds(Corrupt, st.sampled_from([0.01, 1]), claims, **some)
ends = st.builds(Sever, **some) | st.builds(Reset, **some)
bad_calls: list[Callable[[Link], object]] = [
    lambda link: link.delay(-1),
    lambda link: link.delay(float("nan")),
    lambda link: link.throttle(0),
    lambda link: link.slice(True),
    lambda link: link.corrupt(1.5),
    lambda link: link.cut(2**63),
    lambda link: link.blackhole("sideways"),  # type: ignore[arg-type]
    lambda link: link.lose("often"),  # type: ignore[arg-type]
    lambda link: link.forget(packets=1),  # type: ignore[arg-type]
    lambda link: link.apply("silence"),  # type: ignore[arg-type]
]


def holds(fault: Fault) -> bool:
    """Whether it keeps bytes for as long as the test runs."""
    return (
        isinstance(fault, Blackhole)
        or (isinstance(fault, Delay) and fault.seconds > 1)
        or (isinstance(fault, Throttle) and fault.bytes_per_second < 1)
        or (isinstance(fault, Slice) and fault.gap > 0)
    )


@dataclass
class Way:
    """One direction of one connection as its two ends know it."""

    sender: Any  # a socket, or what has its methods
    receiver: Any
    said: bytes = b""
    got: bytes = b""
    fin: bool = False  # the sender has ended its side
    in_order: bool = True  # with close_notify, where there is such a thing
    gone: bool = False  # the receiver has reset: nobody reads any more
    endings: set[str] = field(default_factory=set)  # how it may end beside what the sender did
    ended: str = ""  # how the receiver saw it end
    short: bool = False  # an end that may have thrown bytes away
    cut_at: set[int] = field(default_factory=set)  # positions at which it may have been cut
    damaged: list[list[int]] = field(
        default_factory=list
    )  # from where to where a corruption may have reached

    def right(self) -> bool:
        """Whether what was got is the beginning of what was said, but for where it may be damaged."""
        said, got = bytearray(self.said[: len(self.got)]), bytearray(self.got)
        for start, end in self.damaged:
            for text in (said, got):
                text[start:end] = bytes(len(text[start:end]))
        return said == got

    def whole(self) -> bool:
        """Whether all of it has come."""
        return len(self.got) == len(self.said) and self.right()


@dataclass
class Known:
    """One connection in the model."""

    number: int
    up: Way
    down: Way
    forgotten: bool = False  # mute for good: nothing more may come, and nothing is closed
    over: bool = False  # something has ended it, or may have: nothing more is said on it
    settled: bool = False  # and its end was seen

    def way(self, direction: str) -> Way:
        return self.up if direction == "up" else self.down

    @property
    def ways(self) -> tuple[Way, Way]:
        return (self.up, self.down)


class LinkMachine(RuleBasedStateMachine):
    active = Bundle("active")
    thread: ProxyThread
    steps = 0
    shakes_hands = False

    def __init__(self) -> None:
        super().__init__()
        type(self).steps -= 1  # the invariants are also looked at before the first step
        self.stack = contextlib.ExitStack()
        self.server = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.server.settimeout(PATIENCE)
        self.net = self.stack.enter_context(net_on(self.thread, 3))
        self.link = self.forward()
        calm = self.net.forward(self.server.getsockname(), name="fence")
        self.calm = self.own(socket.create_connection((calm.host, calm.port), timeout=PATIENCE))
        self.calm_server = self.own(self.server.accept()[0])
        self.faults: list[ActiveFault] = []
        self.known: list[Known] = []
        self.numbered = 0  # connections that the link has accepted, refused ones too
        self.refused = 0  # of them, by faults with limits

    def own(self, sock: socket.socket) -> socket.socket:
        sock.settimeout(PATIENCE)
        return self.stack.enter_context(sock)

    def forward(self) -> Link:
        return self.net.forward(self.server.getsockname())

    def open(self) -> tuple[Any, Any]:
        """A connection that is served: its client, and its end at the upstream."""
        client = self.own(socket.create_connection((self.link.host, self.link.port), timeout=PATIENCE))
        return client, self.own(self.server.accept()[0])

    def fence(self) -> None:
        """Returns once the proxy has handled what was sent before."""
        for _ in range(2):
            self.calm.sendall(b"?")
            assert self.calm_server.recv(1) == b"?"
            self.calm_server.sendall(b"!")
            assert self.calm.recv(1) == b"!"

    # -- what the model believes ------------------------------------------------------------------------

    def in_force(self, *kinds: type[Fault]) -> bool:
        return any(isinstance(active.fault, kinds) for active in self.faults)

    @property
    def mode(self) -> str:
        """What the port does: only a fault that holds for all of them is left to the kernel."""
        return self.meets(lambda fault: not limits_of(fault).some)

    @property
    def next_meets(self) -> str:
        """What the next connection meets that the kernel lets through."""
        return self.meets(lambda fault: limits_of(fault).some and self.holds_for(fault, self.numbered + 1))

    def meets(self, holds: Callable[[Fault], bool]) -> str:
        kinds = [active.fault for active in self.faults if not active.healed and holds(active.fault)]
        if any(isinstance(fault, (Blackhole, StallAccept)) for fault in kinds):
            return "hang"
        return "refuse" if any(isinstance(fault, (Sever, Refuse)) for fault in kinds) else "serve"

    def holds_for(self, fault: Fault, number: int) -> bool:
        return limits_of(fault).holds_for(number, self.net.seed)

    def stuck(self, direction: str) -> bool:
        """Whether bytes of this direction may stand still."""
        if self.in_force(Cut):
            return True
        return any(holds(active.fault) and direction in directions_of(active.fault) for active in self.faults)

    def moves_late(self) -> bool:
        return bool(self.faults)

    def end_all(self, ending: str, fault: Fault) -> None:
        """Something of ours ends every open connection that it holds for."""
        for one in self.known:
            if one.forgotten or not self.holds_for(fault, one.number):
                continue
            one.over = True
            for way in one.ways:
                way.endings.add(ending)
                way.short = True

    # -- what the test does -----------------------------------------------------------------------------

    @precondition(lambda self: self.mode != "hang" and len(self.known) < 5)
    @rule()
    def connect(self) -> None:
        if self.mode == "refuse":
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((self.link.host, self.link.port), timeout=PATIENCE)
            return
        number = self.numbered + 1
        cut = [active.fault for active in self.faults if isinstance(active.fault, Cut)]
        if any(
            fault.after_bytes == 0
            and (fault.how != "blackhole" or self.shakes_hands)
            and fault.connection in (None, number)
            and self.holds_for(fault, number)
            for fault in cut
        ):
            return  # it would be cut before the upstream hears of it; tested elsewhere
        meets = self.next_meets
        if meets == "hang":
            return  # tested in test_limits.py
        self.numbered += 1
        if meets == "refuse":
            self.be_refused()
            return
        client, upstream = self.open()
        made = Known(number, Way(client, upstream), Way(upstream, client))
        self.known.append(made)
        for fault in cut:
            self.expect_cut(fault, made)
        for active in self.faults:
            self.expect_damage(active.fault, made)

    def be_refused(self) -> None:
        self.refused += 1
        with contextlib.suppress(ConnectionResetError):
            client = self.own(socket.create_connection((self.link.host, self.link.port), timeout=PATIENCE))
            assert client.recv(1) == b"never", "it was refused"

    def expect_cut(self, fault: Cut, one: Known) -> None:
        if fault.connection not in (None, one.number) or not self.holds_for(fault, one.number):
            return
        for direction in directions_of(fault):
            way = one.way(direction)
            way.cut_at.add(fault.after_bytes)
        for way in one.ways:
            if fault.how != "blackhole":
                way.endings.add(fault.how)
                way.short = True

    def expect_damage(self, fault: Fault, one: Known) -> None:
        if isinstance(fault, Corrupt) and self.holds_for(fault, one.number):
            for direction in directions_of(fault):
                way = one.way(direction)
                way.damaged.append([len(way.got), MOST_SAID])

    @precondition(lambda self: any(not one.over for one in self.known))
    @rule(which=st.integers(0, 4), direction=directions, size=st.integers(1, 6000), seed=st.integers(0, 255))
    def say(self, which: int, direction: str, size: int, seed: int) -> None:
        one = self.known[which % len(self.known)]
        way = one.way(direction)
        if one.over or way.fin or way.gone or len(way.said) + size > MOST_SAID:
            return
        data = bytes((seed + len(way.said) + n) % 251 for n in range(size))
        try:
            way.sender.sendall(data)
        except OSError:
            self.heard_by_writing(one, direction)
            return
        way.said += data

    @precondition(lambda self: any(not one.over for one in self.known))
    @rule(which=st.integers(0, 4), direction=directions, in_order=st.booleans())
    def half_close(self, which: int, direction: str, in_order: bool) -> None:
        one = self.known[which % len(self.known)]
        way = one.way(direction)
        if one.over or way.fin or way.gone:
            return
        try:
            if in_order:
                self.say_goodbye(way)
        except OSError:
            self.heard_by_writing(one, direction)
            return
        with contextlib.suppress(OSError):
            way.sender.shutdown(socket.SHUT_WR)
        way.fin, way.in_order = True, in_order

    def heard_by_writing(self, one: Known, direction: str) -> None:
        """A write has failed. The kernel reports a reset once: who hears of it by writing reads an ordinary end."""
        assert one.way(direction).endings, "nothing had ended this connection"
        one.over = True
        one.way("down" if direction == "up" else "up").endings.add("fin")

    def say_goodbye(self, way: Way) -> None:
        """What comes before a FIN that is in order."""

    def check_fin(self, way: Way) -> None:
        """The receiver has seen an end that nothing but the sender can have caused."""

    @precondition(lambda self: any(not one.over for one in self.known))
    @rule(which=st.integers(0, 4), direction=directions)
    def hang_up(self, which: int, direction: str) -> None:
        one = self.known[which % len(self.known)]
        if one.over:
            return
        way, back = one.way(direction), one.way("down" if direction == "up" else "up")
        way.sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        way.sender.close()
        one.over = True
        way.endings.add("rst")
        back.gone = True

    @rule(which=st.integers(0, 4), direction=directions)
    def listen(self, which: int, direction: str) -> None:
        """The receiver reads what has come, and all that must come if nothing holds it."""
        if not self.known:
            return
        one = self.known[which % len(self.known)]
        way = one.way(direction)
        if way.gone or one.settled:
            return
        if not one.over and not self.stuck(direction) and not way.endings:
            self.receive(way, len(way.said) - len(way.got))
            assert way.whole()
            return
        self.fence()
        self.hear(way, wait=False)
        assert way.right()

    def hear(self, way: Way, *, wait: bool) -> None:
        """Read until the end, or until nothing more has come yet."""
        way.receiver.settimeout(PATIENCE if wait else 0)
        try:
            while not way.ended:
                part = way.receiver.recv(65536)
                way.got += part
                way.ended = "" if part else "fin"
        except (ConnectionResetError, BrokenPipeError):
            way.ended = "rst"
        except BlockingIOError:
            pass
        way.receiver.settimeout(PATIENCE)

    def receive(self, way: Way, size: int) -> None:
        while size > 0:
            part = way.receiver.recv(size)
            assert part, f"ended {size} bytes short"
            way.got += part
            size -= len(part)

    @rule(target=active, fault=moving_faults)
    def move_otherwise(self, fault: Fault) -> ActiveFault:
        return self.apply(fault)

    @rule(target=active, fault=corruptions)
    def damage(self, fault: Fault) -> ActiveFault:
        return self.apply(fault)

    @rule(call=st.sampled_from(bad_calls))
    def ask_for_nonsense(self, call: Callable[[Link], object]) -> None:
        before = len(self.link.events)
        with pytest.raises((TypeError, ValueError)):
            call(self.link)
        done = [
            event.kind for event in self.link.events[before:] if not event.detail
        ]  # by us, and not by a limit
        assert {"fault", "heal"}.isdisjoint(done)

    @rule(target=active, fault=holding_faults)
    def hold(self, fault: Fault) -> ActiveFault:
        return self.apply(fault)

    @precondition(lambda self: any(not one.over for one in self.known))
    @rule(target=active, fault=cuts)
    def cut(self, fault: Fault) -> ActiveFault:
        return self.apply(fault)

    @precondition(lambda self: any(way.said for one in self.known for way in one.ways if not one.over))
    @rule(target=active, fault=ends)
    def end(self, fault: Fault) -> ActiveFault:
        return self.apply(fault)

    def apply(self, fault: Fault) -> ActiveFault:
        if self.moves_late() is False:
            self.fence()
        made = self.link.apply(fault)
        if not isinstance(fault, Reset):
            self.faults.append(made)
        if isinstance(fault, (Sever, Reset)):
            self.end_all("fin" if isinstance(fault, Sever) else "rst", fault)
        if isinstance(fault, Cut):
            for one in self.known:
                self.expect_cut(fault, one)
        for one in self.known:
            self.expect_damage(fault, one)
        return made

    @precondition(lambda self: any(not one.over for one in self.known))
    @rule(
        packets=st.booleans(),
        size=st.integers(1, 6000),
        ending=st.sampled_from(["", "fin", "rst"]),
        direction=directions,
    )
    def forget(self, packets: bool, size: int, ending: str, direction: str) -> None:
        """What is said into a flow from now on, endings too, is heard by nobody, until the link is closed."""
        self.fence()
        met = self.link.forget(packets=packets)
        mute = {live.number for live in self.link.connections if live.state == "forgotten"}
        new = [one for one in self.known if one.number in mute and not one.forgotten]
        assert met.met_traffic or not new
        for one in new:
            one.forgotten = one.over = one.settled = True
            for way in one.ways:
                if not way.gone:
                    self.hear(way, wait=False)  # what had passed before
                    assert way.right()
            way = one.way(direction)
            with contextlib.suppress(OSError):
                for each in one.ways:
                    each.sender.sendall(bytes(size))
            if ending == "fin":
                with contextlib.suppress(OSError):
                    way.sender.shutdown(socket.SHUT_WR)
            elif ending == "rst" and way.sender.fileno() >= 0:
                way.sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                way.sender.close()

    @invariant()
    def a_forgotten_flow_is_mute(self) -> None:
        if not any(one.forgotten for one in self.known):
            return
        self.fence()
        for one in self.known:
            for way in one.ways if one.forgotten else ():
                if way.receiver.fileno() >= 0 and not way.ended:
                    got, way.got = way.got, b""
                    self.hear(way, wait=False)
                    assert (way.got, way.ended) == (b"", ""), "a forgotten flow has said something"
                    way.got = got

    @rule(fault=consumes(active))
    def heal(self, fault: ActiveFault) -> None:
        fault.heal()
        fault.heal()
        self.healed(fault)

    def healed(self, fault: ActiveFault) -> None:
        assert fault.healed
        if fault not in self.faults:
            return
        self.faults.remove(fault)
        kind = fault.fault
        if isinstance(kind, Corrupt) and not self.in_force(Corrupt):
            for way in (way for one in self.known for way in one.ways):
                for reach in way.damaged:  # not what is said from now on
                    reach[1] = min(reach[1], len(way.said))
        if isinstance(kind, Blackhole) and kind.on_heal != "resume":
            self.end_all("fin" if kind.on_heal == "sever" else "rst", kind)

    @precondition(lambda self: len(self.faults) > 1)
    @rule()
    def heal_all(self) -> None:
        self.link.heal()
        for fault in reversed(self.faults.copy()):
            self.healed(fault)

    @precondition(
        lambda self: any(one.over and not one.settled for one in self.known) or len(self.faults) > 3
    )
    @rule()
    def everything_arrives_once_all_is_healed(self) -> None:
        self.heal_all()
        for one in self.known:
            if not one.settled:
                self.settle(one)
                one.settled = one.over
        if all(one.settled for one in self.known):
            self.restart()

    def restart(self) -> None:
        """A new link, so that connections are numbered from 1 again."""
        self.known.clear()
        self.numbered = self.refused = 0
        self.link.close()
        self.link = self.forward()

    def settle(self, one: Known) -> None:
        for way in one.ways:
            if way.gone:
                continue
            if not one.over and not way.endings:
                self.receive(way, len(way.said) - len(way.got))
                assert way.whole()
                if way.fin:
                    assert way.receiver.recv(1) == b""
                    self.check_fin(way)
                continue
            if not one.over and self.alive(one):  # it might have been cut, and was not
                self.receive(way, len(way.said) - len(way.got))
                assert way.whole()
                continue
            one.over = True
            self.check_the_end(one, way)
        if not one.over:
            live = {live.number: live for live in self.link.connections}
            if one.number in live:
                shown = live[one.number]
                assert (shown.bytes_up, shown.bytes_down) == (len(one.up.got), len(one.down.got))

    def alive(self, one: Known) -> bool:
        self.fence()
        return any(
            live.number == one.number and live.state in ("open", "half-closed")
            for live in self.link.connections
        )

    def check_the_end(self, one: Known, way: Way) -> None:
        self.hear(way, wait=True)
        assert way.right()
        assert way.ended in way.endings | ({"fin"} if way.fin else set())
        if way.ended == "fin" and not way.endings:
            self.check_fin(way)
        if not way.short:
            assert way.whole(), "a reset by a peer comes behind all its bytes"

    @invariant()
    def one_more_step(self) -> None:
        type(self).steps += 1

    @invariant()
    def each_attempt_that_was_refused_is_counted(self) -> None:
        assert self.link.attempts_refused == self.refused

    @invariant()
    def nothing_is_counted_that_was_not_said(self) -> None:
        for shown in self.link.connections:
            for one in self.known:
                if one.number == shown.number:
                    assert len(one.up.got) <= shown.bytes_up <= len(one.up.said)
                    assert len(one.down.got) <= shown.bytes_down <= len(one.down.said)

    def teardown(self) -> None:
        try:
            self.everything_arrives_once_all_is_healed()
        finally:
            self.stack.close()
        engine = self.thread.engine()
        assert engine.call(lambda: dict(engine._handlers)) == {}
        engine.call(lambda: None)
        assert engine.call(engine._timers.next_at) == float("inf")


class TlsLinkMachine(LinkMachine):
    """The same of the plaintext on a TLS link."""

    shakes_hands = True
    upstream_ca: str
    serving: ssl.SSLContext

    def forward(self) -> Link:
        return self.net.forward(self.server.getsockname(), tls=TLS(upstream_ca=self.upstream_ca))

    def open(self) -> tuple[Any, Any]:
        raw_client, raw_upstream = super().open()
        trusting = ssl.create_default_context(cafile=self.net.ca.file)
        client = TlsPeer(raw_client, trusting, name="localhost")
        upstream = TlsPeer(raw_upstream, self.serving)
        shake_hands(client, upstream)
        return client, upstream

    def say_goodbye(self, way: Way) -> None:
        way.sender.say_goodbye()

    def check_fin(self, way: Way) -> None:
        assert way.receiver.truncated is not way.in_order


def machine_of(base: type[LinkMachine], thread: ProxyThread, folder: Path) -> type[LinkMachine]:
    """The machine on this thread, with no steps played yet."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(serving)
    given = {"thread": thread, "upstream_ca": str(folder / "ca.pem"), "serving": serving}
    return type(base.__name__, (base,), given)


@pytest.fixture
def thread() -> Iterator[ProxyThread]:
    thread = ProxyThread()
    yield thread
    thread.close()


@pytest.mark.slow
@pytest.mark.parametrize(("base", "share"), [(LinkMachine, 1.0), (TlsLinkMachine, 0.5)], ids=["plain", "tls"])
def test_a_link_does_what_the_model_says(
    thread: ProxyThread, tmp_path: Path, base: type[LinkMachine], share: float
) -> None:
    start = time.monotonic()
    machine = machine_of(base, thread, tmp_path)
    most = STEPS if "NETFAULT_STEPS" in os.environ else int(STEPS * share)
    while machine.steps < most:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=max(1, (most - machine.steps) // STEPS_OF_ONE),
                stateful_step_count=STEPS_OF_ONE,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            ),
        )
    # Shown with -s, and beside a failure.
    seconds = time.monotonic() - start
    print(f"{base.__name__}: {machine.steps:,} steps in {seconds:.0f} s: the link did what the model said")  # noqa: T201
