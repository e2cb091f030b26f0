"""A client under test that is a program, in any language: lines of JSON on its standard input and output.

::

    kit ---- {"id":2,"do":"put","key":"r17.a","value":"v3"} ----> standard input    a program of the user's,
        <--- {"id":2,"ok":true} --------------------------------- standard output   which holds its client
        <--- {"deliver":{"events":[...]}} -----------------------

The program is started once for each client that the kit opens, and never outlives the kit. Answers may come in any
order; unknown keys are ignored on both sides. A program that ends before it has answered `close`, or writes what the
protocol has not, has *failed*: every call that waits raises `ProcessFailed`, and the run proves nothing. It is never
taken for a loss. A run is judged after its client was closed, so it does not matter how late the program ended.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_netfault.proof.clients import ClientFailed, ExternalClient
from pytest_netfault.servers.tied import Tie, reap
from pytest_netfault.store import Delivery, Event, Resync, Store, WriteRejected

__all__ = ["OutcomeUnknown", "ProcessFailed", "ProcessStore"]

_OPEN_SECONDS = 30.0
_KEPT_LINES = 200
_SHOWN_LINES = 10
_LONGEST_LINE = 16 * 1024 * 1024


class ProcessFailed(ClientFailed):
    """The program of a `ProcessStore` ended early, did not answer, or broke the protocol; the message says which."""


class OutcomeUnknown(Exception):
    """The program does not know whether its write was applied; the message is the program's."""


class ProcessStore:
    """An ``open_store`` that drives a program, in whatever language its client is.

    Args:
        command: the program and its arguments.
        environment: its environment; by default that of this process.
        folder: its working directory; by default that of this process.

    Raises:
        TypeError: ``command`` is no list of strings.

    >>> ProcessStore(["node", "store.js"])
    ProcessStore(['node', 'store.js'])
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        if (
            isinstance(command, (str, bytes))
            or not command
            or not all(isinstance(one, str) for one in command)
        ):
            raise TypeError(
                f"command must be a list of strings such as ['node', 'store.js'], not {command!r}"
            )
        self.command = tuple(command)
        self._environment = None if environment is None else dict(environment)
        self._folder = None if folder is None else Path(folder)

    def __call__(self, address: str, /) -> Store:
        """Start the program and let it open its client.

        Raises:
            ProcessFailed: it cannot be started, ended, broke the protocol, or did not answer within 30 s.
        """
        return self.open(address)

    def open(self, address: str, *, close_timeout: float = 5.0) -> Store:
        """As calling it; ``close()`` of the client kills the program after ``close_timeout`` seconds."""
        program = _Program(self.command, self._environment, self._folder, close_timeout)
        try:
            answer = program.ask({"do": "open", "address": address}, timeout=_OPEN_SECONDS)
        except BaseException:
            program.kill()
            raise
        return _TransactionalStore(program) if answer.get("transactions") is True else _ProgramStore(program)

    def __repr__(self) -> str:
        return f"ProcessStore({list(self.command)!r})"


class _ProgramStore(ExternalClient):
    """The client that a program holds, as the kit calls it."""

    def __init__(self, program: _Program) -> None:
        self._program = program

    @property
    def failure(self) -> str | None:
        """Why the program can no longer be believed, or None."""
        return self._program.failure

    @property
    def said(self) -> tuple[tuple[float, str], ...]:
        """What it logged: ``time.monotonic()`` and the text."""
        return tuple(self._program.said)

    def put(self, key: str, value: str) -> None:
        self._program.ask({"do": "put", "key": key, "value": value})

    def delete(self, key: str) -> None:
        self._program.ask({"do": "delete", "key": key})

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        self._program.deliver = deliver
        self._program.ask({"do": "subscribe", "prefix": prefix})

    def close(self) -> None:
        self._program.close()

    def __repr__(self) -> str:
        return f"the program {self._program.name}"


class _TransactionalStore(_ProgramStore):
    def put_many(self, changes: Mapping[str, str | None]) -> None:
        self._program.ask({"do": "put_many", "changes": dict(changes)})


class _Program:
    """One run of the program: the process, a thread that reads what it writes, and one for its standard error.

    The reader starts the process, because the kernel ends it together with the thread that started it.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None,
        folder: Path | None,
        close_timeout: float,
    ) -> None:
        self.name = _shortened(shlex.join(command))
        self.failure: str | None = None
        self.said: deque[tuple[float, str]] = deque(maxlen=1_000)
        self.deliver: Callable[[Delivery], None] = lambda _: None
        self._close_timeout = close_timeout
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[int, queue.SimpleQueue[dict[str, Any] | None]] = {}
        self._last_id = 0
        self._closing: int | None = None  # the number of the request to close
        self._may_end = False  # it has answered that request, or we end it
        self._ended = False
        self._errors: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._start_error: Exception | None = None
        self._started = threading.Event()
        tie = Tie(_resolved(command))
        options = {"env": environment, "cwd": folder}
        self._reader = threading.Thread(
            target=self._read, args=(tie, options), name=f"netfault {command[0]}", daemon=True
        )
        self._reader.start()
        self._started.wait()
        if self._start_error is not None:
            raise ProcessFailed(f"{self.name} cannot be started: {self._start_error}") from self._start_error

    # -- asking ----------------------------------------------------------------------------------------------

    def ask(self, request: dict[str, Any], *, timeout: float | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            ProcessFailed: the program has failed, or does meanwhile, or ``timeout`` seconds pass.
            WriteRejected, OutcomeUnknown: it answers so.
        """
        answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        closing = request["do"] == "close"
        with self._lock:
            self._check()
            self._last_id += 1
            number = self._last_id
            self._waiting[number] = answers
            if closing:
                self._closing = number
        self._send({"id": number, **request})
        try:
            answer = answers.get(timeout=timeout)
        except queue.Empty:
            self._may_end |= closing  # then it is killed, and that close() takes too long is said elsewhere
            self._fail(f"did not answer {request['do']!r} within {timeout:g} s")
            answer = None
        if answer is None:
            with self._lock:
                self._check()
            raise ProcessFailed(f"{self.name} was closed")
        if "rejected" in answer:
            raise WriteRejected(str(answer["rejected"]))
        if "unknown" in answer:
            raise OutcomeUnknown(str(answer["unknown"]))
        return answer

    def _check(self) -> None:
        if self.failure is not None:
            raise ProcessFailed(self.failure)
        if self._ended:
            raise ProcessFailed(f"{self.name} was closed")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        try:
            with self._writing:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except (OSError, ValueError):
            pass  # it has ended, which the reader notices

    def _close_input(self, timeout: float) -> None:
        """Close our end, unless a write to a program that does not read holds it for longer."""
        assert self._process is not None
        assert self._process.stdin is not None
        if self._writing.acquire(timeout=timeout):
            try:
                self._process.stdin.close()
            except OSError:
                pass  # what it had not read is of no use any more
            finally:
                self._writing.release()

    # -- the end ---------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let it close its client and exit; kill it after ``close_timeout`` seconds. Idempotent."""
        deadline = time.monotonic() + self._close_timeout
        try:
            self.ask({"do": "close"}, timeout=self._close_timeout)
        except (ProcessFailed, WriteRejected, OutcomeUnknown):
            pass  # it ends in any case; why, if it was not for this request, says `failure`
        self._close_input(max(0.0, deadline - time.monotonic()))
        self._reader.join(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """End it and every process of its group, and wait for that."""
        self._may_end = True
        process = self._process
        if process is not None:
            with self._lock:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
        self._reader.join()

    def _fail(self, what: str) -> None:
        last = list(self._errors)[-_SHOWN_LINES:]
        words = "; the last that it wrote to standard error:\n" + "\n".join(last) if last else ""
        with self._lock:
            if self.failure is None and not self._may_end:
                self.failure = f"{self.name} {what}{words}"
            waiting, self._waiting = self._waiting, {}
        for answers in waiting.values():
            answers.put(None)

    # -- the reader --------------------------------------------------------------------------------------------

    def _read(self, tie: Tie, options: dict[str, Any]) -> None:
        pipe = subprocess.PIPE
        options = options | {"start_new_session": True, "pass_fds": tie.descriptors}
        try:
            process = subprocess.Popen(tie.command, stdin=pipe, stdout=pipe, stderr=pipe, **options)
            tie.started()
        except Exception as error:
            tie.ended()
            self._start_error = error
            self._started.set()
            return
        self._process = process
        errors = threading.Thread(target=self._read_errors, args=(process,), daemon=True)
        errors.start()
        self._started.set()
        assert process.stdout is not None
        line = b""
        try:
            while line := process.stdout.readline(_LONGEST_LINE):
                self._take(line)
        except _Unexpected as unexpected:
            self._fail(f"wrote {line[:200].decode(errors='replace').strip()!r}: {unexpected}")
        finally:
            if self.failure is not None:
                os.killpg(process.pid, signal.SIGKILL)
            reap(process, self._lock)
            tie.ended()
            errors.join(1.0)
            with self._lock:
                self._ended = True
            self._fail(f"ended with exit code {process.returncode} before it was closed")
            self._close_input(_OPEN_SECONDS)
            process.stdout.close()

    def _read_errors(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            while line := lines.readline(4096):
                self._errors.append(line.decode(errors="replace").rstrip())

    def _take(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            raise _Unexpected("a line ends with a line feed")
        message = _parse(line)
        if "deliver" in message:
            self.deliver(_delivery(message["deliver"]))
        elif "log" in message:
            self.said.append((time.monotonic(), str(message["log"])))
        elif "id" in message:
            number = message["id"]
            if sum(name in message for name in ("ok", "unknown", "rejected")) != 1:
                raise _Unexpected("an answer has one of ok, unknown and rejected")
            if message.get("ok", True) is not True:
                raise _Unexpected("ok is true; a write that failed is unknown or rejected")
            with self._lock:
                answers = self._waiting.pop(number, None) if isinstance(number, int) else None
                self._may_end |= answers is not None and number == self._closing
            if answers is None:
                raise _Unexpected(f"no request {number!r} waits for an answer")
            answers.put(message)


class _Unexpected(ValueError):
    """What the program wrote is not of the protocol; the message says what would be."""


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise _Unexpected("a line holds one JSON object") from None
    if not isinstance(message, dict):
        raise _Unexpected("a line holds one JSON object")
    return message


def _delivery(data: object) -> Delivery:
    """What one ``deliver`` carries.

    >>> _delivery({"events": [{"key": "r17.a", "value": None, "revision": 12}]})
    Delivery(events=(Event('r17.a', None, revision=12),))
    """
    if not isinstance(data, dict):
        raise _Unexpected("deliver holds an object with events, resync, bookmark or error")
    try:
        if "events" in data:
            return Delivery(
                events=tuple(Event(one["key"], one["value"], one.get("revision")) for one in data["events"])
            )
        if "resync" in data:
            return Delivery(resync=Resync(data["resync"].get("revision"), data["resync"]["kvs"]))
        return Delivery(bookmark=data.get("bookmark"), error=data.get("error"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise _Unexpected(f"this is no delivery: {what}") from error


def _shortened(text: str) -> str:
    """A text for a sentence: its first line, cut after 60 characters.

    >>> _shortened("node store.js"), _shortened("python -c 'import json\\nprint(1)'")
    ('node store.js', "python -c 'import json...")
    """
    first = text.split("\n", 1)[0]
    return text if first == text and len(text) <= 60 else f"{first[:60]}..."


def _resolved(command: Sequence[str]) -> list[str]:
    """The command with the path of its program, which the launcher does not look for."""
    found = shutil.which(command[0])
    if found is None:
        raise ProcessFailed(f"{command[0]} is not a program that can be found on PATH")
    return [found, *command[1:]]
