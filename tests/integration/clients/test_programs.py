"""Programs in processes of their own: redis-benchmark, iperf3, curl and ab, with real load.

Each is run through a link for a moment before and after a fault, where it has to succeed. What it does meanwhile:

    sever, reset     a run that would go on for long fails by itself (ab may go on over new connections)
    blackhole        such a run stops, and goes on or fails when the fault is healed, as `on_heal` says
    other faults     a short run succeeds, fails, or hangs until the fault is healed
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import ActiveFault, Link
from pytest_netfault.faults import Blackhole, Corrupt, Cut, Forget, Refuse, Reset, Sever, StallAccept
from pytest_netfault.servers import OwnedProcess

pytestmark = pytest.mark.slow

# A run is under way when so much was carried: no greeting is that long.
UNDER_WAY = 200_000


@dataclass(frozen=True)
class Program:
    """How a program is run.

    Attributes:
        short: a run of a moment, made from the link and a file for what it downloads.
        long: a run that does not end within a test.
        succeeded: whether the output and the file are those of a complete run.
        cut_at: a position in the middle of a short run's connection whose loss the program has to notice.
        reconnects: whether it goes on over a new connection when one has ended.
        stays: whether it may stay and do nothing once it has lost its connections.
        settle: waits until the server is done with a run that has ended, where it serves one client at a time.
    """

    upstream: str
    short: Callable[[Link, Path], list[str]]
    long: Callable[[Link], list[str]]
    succeeded: Callable[[str, Path], bool]
    cut_at: int = 20_000
    reconnects: bool = False
    stays: bool = False
    settle: Callable[[Link], None] = lambda _: None


class Run:
    """One run of a program."""

    def __init__(
        self, program: Program, command: list[str], output: Path, file: Path, patience: float
    ) -> None:
        self._program = program
        self._output = output
        self._file = file
        self._patience = patience
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        self.process = OwnedProcess(command, output=output, environment=environment)

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def succeeds(self) -> bool:
        """Wait for its end; return whether it ended well with a complete result."""
        assert self.process.wait(self._patience), f"it does not end: {self.output}"
        return self.process.returncode == 0 and self._program.succeeded(self.output, self._file)

    def wait_until_it_says(self, *words: str) -> None:
        for _ in range(int(self._patience / 0.02)):
            ended = self.process.wait(0.02)
            if any(word in self.output for word in words):
                return
            assert not ended, f"it ended without {words}: {self.output}"
        raise AssertionError(f"it does not say one of {words}: {self.output}")

    def hangs(self, silence: float, fault: ActiveFault | None = None) -> bool:
        """Whether it still runs after a while, which begins when the fault has met it."""
        while fault is not None and not fault.met_traffic and not self.process.wait(0.02):
            pass
        return not self.process.wait(silence)


class Runner:
    """Starts runs through one link, and ends those that are left."""

    def __init__(self, program: Program, link: Link, folder: Path, patience: float) -> None:
        self._program = program
        self._link = link
        self._folder = folder
        self._patience = patience
        self._stack = contextlib.ExitStack()
        self._count = 0

    def _start(self, command: list[str], file: Path) -> Run:
        self._count += 1
        output = self._folder / f"{self._count}.output"
        run = Run(self._program, command, output, file, self._patience)
        self._stack.callback(run.process.kill)
        return run

    def short(self) -> Run:
        file = self._folder / f"{self._count}.file"
        return self._start(self._program.short(self._link, file), file)

    def check(self) -> None:
        """A short run succeeds. iperf3 may not yet have met its last client, which is gone, and then says so.

        What a fault meets next is the next run, not what is left of this one: a program has ended before its last
        FIN has gone through the link.
        """
        while not (run := self.short()).succeeds():
            assert "server is busy" in run.output, run.output
        self._program.settle(self._link)

    def long(self) -> Run:
        """A run that is well under way."""
        run = self._start(self._program.long(self._link), self._folder / "unused")
        self.wait_for_progress()
        return run

    def wait_for_progress(self) -> None:
        carried = self._link.bytes_up + self._link.bytes_down
        self._link.wait_for_bytes(carried + UNDER_WAY, "both", timeout=self._patience)

    def check_lost(self, run: Run, fault: ActiveFault) -> None:
        """The run fails by itself, or in its program's own way: without a connection, or over new ones."""
        program = self._program
        while not run.process.wait(0.05):
            live = self._link.connections
            stayed = program.stays and fault.met_traffic and not live
            # None of these was open when the fault came, except under a cut, which ends a short run anyway.
            went_on = (
                program.reconnects and not isinstance(fault.fault, Cut) and any(c.bytes_down for c in live)
            )
            if stayed or went_on:
                run.process.kill()
        assert not run.succeeds()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(params=["redis-benchmark", "iperf3", "curl", "ab"])
def program(request: pytest.FixtureRequest, helpers: Any) -> Program:
    path = helpers.program(request.param)

    def ask(name: str) -> str:
        return str(request.getfixturevalue(name))

    if request.param == "redis-benchmark":

        def load(link: Link, count: int) -> list[str]:
            where = [path, "-h", link.host, "-p", str(link.port), "-c", "4", "-n", str(count), "-d", "10000"]
            return [*where, "-t", "set,get", "-q"]

        return Program(
            ask("redis_address"),
            lambda link, _: load(link, 40),
            lambda link: load(link, 1_000_000_000),
            lambda output, _: output.count("requests per second") == 2,
            stays=True,  # it forgets a connection that it could not write to
        )
    if request.param == "iperf3":
        server = request.getfixturevalue("iperf3_server")

        def listens_again() -> bool:
            return re.search(r"Server listening on .*\n-+\Z", server.output()) is not None

        def settle(link: Link) -> None:
            def idle() -> None:
                if link.connections or not listens_again():
                    raise OSError("it still serves its last client")

            server.wait_until(idle)

        def measure(link: Link, *limit: str) -> list[str]:
            return [path, "--client", link.host, "--port", str(link.port), *limit]

        return Program(
            server.address,
            lambda link, _: measure(link, "--bytes", "1M"),
            lambda link: measure(link, "--time", "86400"),
            lambda output, _: "receiver" in output and "iperf Done." in output,
            cut_at=300,  # of the connection that controls it; a test that lost data is a success to iperf3
            settle=settle,
        )
    address = ask("nginx_address")
    if request.param == "curl":
        curl = [path, "-q", "--silent", "--show-error", "--fail", "--noproxy", "*"]
        return Program(
            address,
            lambda link, file: [*curl, "--output", str(file), f"http://{link.address}/blob"],
            lambda link: [*curl, "--output", os.devnull, f"http://{link.address}/endless"],
            lambda _, file: file.read_bytes() == helpers.blob,
        )

    def many(link: Link, count: int, *limit: str) -> list[str]:
        return [path, "-k", "-q", "-c", "4", *limit, "-n", str(count), f"http://{link.address}/blob"]

    def complete(output: str, _: Path) -> bool:
        figures = dict(line.split(":", 1) for line in output.splitlines() if ":" in line)
        return (
            figures["Failed requests"].strip() == "0"
            and figures["Complete requests"].strip() == "40"
            and figures["HTML transferred"].split()[0] == str(40 * len(helpers.blob))
        )

    return Program(
        address,
        lambda link, _: many(link, 40),
        lambda link: many(link, 1_000_000, "-t", "3600"),
        complete,
        reconnects=True,
    )


@pytest.fixture
def runner(program: Program, net: Any, tmp_path: Path, helpers: Any) -> Iterator[tuple[Runner, Link]]:
    link = net.forward(program.upstream)
    runner = Runner(program, link, tmp_path, helpers.patience)
    try:
        yield runner, link
    finally:
        link.close()
        runner.close()


def test_a_program_through_every_fault(
    program: Program, runner: tuple[Runner, Link], case: Any, helpers: Any
) -> None:
    runs, link = runner
    fault = case.fault
    if isinstance(fault, Cut):  # in the middle of a short run
        fault = dataclasses.replace(fault, after_bytes=program.cut_at, direction="both")
    elif isinstance(fault, Corrupt):  # iperf3's server says only a few bytes
        fault = dataclasses.replace(fault, probability=0.3)

    runs.check()
    if isinstance(fault, (Sever, Reset)):
        run = runs.long()
        with link.apply(fault) as active:
            runs.check_lost(run, active)
    elif isinstance(fault, Blackhole) and fault.direction == "both":
        run = runs.long()
        with link.apply(fault) as active:
            assert run.hangs(helpers.silence, active), run.output
        if fault.on_heal == "resume":
            runs.wait_for_progress()
            assert run.hangs(0), run.output
            run.process.kill()
        else:
            runs.check_lost(run, active)
    elif isinstance(fault, Forget):
        run = runs.long()
        active = link.apply(fault)
        assert run.hangs(helpers.silence, active), run.output
        run.process.kill()
        return  # the server has its side of the flow until the link is closed, and iperf3's serves one client at a time
    elif isinstance(fault, (Blackhole, StallAccept)) or (isinstance(fault, Cut) and fault.how == "blackhole"):
        with link.apply(fault) as active:
            run = runs.short()
            assert run.hangs(helpers.silence, active), run.output
        assert run.succeeds(), run.output
    elif isinstance(fault, Corrupt):
        with link.apply(fault) as active:
            run = runs.short()
            if run.hangs(1.0, active):
                link.reset()
            assert not run.succeeds()
    elif isinstance(fault, Refuse):
        with link.apply(fault):
            run = runs.short()
            run.wait_until_it_says("refused", "Couldn't connect")
            run.process.kill()  # redis-benchmark would try for ever
            assert not run.succeeds()
    elif isinstance(fault, Cut):
        with link.apply(fault) as active:
            runs.check_lost(runs.short(), active)
    else:
        with link.apply(fault) as active:
            runs.check()
            assert active.met_traffic
    runs.check()
