"""The fixture ``etcd_cluster``: three real members, parted by real links, whole again before the next test."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_netfault.servers.errors import ServerError
from pytest_netfault.servers.etcd import find_binary

pytestmark = pytest.mark.slow

PARTED = """
    import pytest
    from pytest_netfault.servers.errors import ServerUnreachable

    NAMES = {"m1", "m2", "m3"}

    def put(member, text):
        return member._gateway.put(text.encode(), b"v", timeout=30)

    def test_a_leader_is_cut_off(etcd_cluster):
        old = etcd_cluster.leader(timeout=30)
        before = put(etcd_cluster.members[old], etcd_cluster.prefix + "before")
        with etcd_cluster.partition([old], NAMES - {old}):
            new = etcd_cluster.leader(timeout=30)
            assert new != old
            during = put(etcd_cluster.members[new], etcd_cluster.prefix + "during")
            with pytest.raises(ServerUnreachable):
                etcd_cluster.members[old].revision(timeout=0.3)
        assert etcd_cluster.members[old].revision(timeout=30) == during == before + 1

    def test_a_minority_is_cut_off(etcd_cluster):
        leader = etcd_cluster.leader(timeout=30)
        lost = min(NAMES - {leader})
        with etcd_cluster.partition([lost], NAMES - {lost}):
            written = put(etcd_cluster.members[leader], etcd_cluster.prefix + "a")
            with pytest.raises(ServerUnreachable):
                etcd_cluster.members[lost].revision(timeout=0.3)
            assert etcd_cluster.revision(timeout=30) == written
        assert etcd_cluster.members[lost].revision(timeout=30) == written

    def test_one_that_leaves_a_mess(etcd_cluster):
        assert etcd_cluster.addresses == [member.address for member in etcd_cluster.members.values()]
        etcd_cluster.partition("m1", "m2", "m3")
        etcd_cluster.members["m1"].pause()
        etcd_cluster.members["m2"].kill()

    def test_one_whose_fault_meets_nothing(etcd_cluster):
        etcd_cluster.links["m1", "m2"].cut(10**9)

    def test_finds_it_whole_again(etcd_cluster):
        for member in etcd_cluster.members.values():
            assert member.revision(timeout=30) >= 1
        assert repr(etcd_cluster) == "etcd_cluster"
        print("pids:", *[member.pid for member in etcd_cluster.members.values()], flush=True)
        END
"""


@pytest.fixture(scope="module")
def binary_option() -> str:
    try:
        return f"--netfault-etcd={find_binary()}"
    except ServerError as error:
        pytest.skip(f"no members can be started: {error}")


def test_partitions_are_made_and_healed_and_nothing_is_left(
    sessions: Any, binary_option: str, await_end: Any
) -> None:
    sessions.file(PARTED.replace("END", ""))
    result = sessions.run("-s", "--netfault-strict", binary_option)
    result.assert_outcomes(passed=5, errors=1)
    # The fault that a test has left is judged with that test.
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_one_whose_fault_meets_nothing*",
            "*Cut(1000000000) was in force on m1-m2 and met no*",
        ]
    )
    (told,) = (line for line in result.outlines if "pids: " in line)
    for pid in told.partition("pids: ")[2].split():
        await_end(int(pid))


def test_all_members_end_with_a_session_that_is_interrupted(
    sessions: Any, binary_option: str, await_end: Any, read_until: Any, interrupt: Any
) -> None:
    sessions.file(PARTED.replace("END", "while not __import__('threading').Event().wait(0.05): pass"))
    process = sessions.start("-s", binary_option, "-k", "whole")
    pids = map(int, read_until(process, r"pids: (\d+) (\d+) (\d+)").groups())
    interrupt(process)
    for pid in pids:
        await_end(pid)


def test_a_failure_shows_the_links_that_were_broken(sessions: Any, binary_option: str) -> None:
    sessions.file(
        """
        def test_it(etcd_cluster):
            etcd_cluster.partition("m1", "m2")
            assert False
        """
    )
    result = sessions.run(binary_option)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random(
        ["m1-m2 unix:*, in force: Blackhole()", "m2-m1 unix:*, in force: Blackhole()"]
    )


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("127.0.0.1:2379", "--netfault-etcd=127.0.0.1:2379 names the one that is running"),
        ("docker:local/etcd:1", "--netfault-etcd=docker:local/etcd:1 names an image"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_without_a_binary_it_is_skipped_or_strictly_an_error(
    sessions: Any, named: str, why: str, strict: bool
) -> None:
    sessions.file("def test_it(etcd_cluster): pass")
    result = sessions.run("-rs", f"--netfault-etcd={named}", *(["--netfault-strict"] if strict else []))
    result.assert_outcomes(**({"errors": 1} if strict else {"skipped": 1}))
    result.stdout.fnmatch_lines([f"*a cluster is started from a binary, and {why}: name a binary with*"])
