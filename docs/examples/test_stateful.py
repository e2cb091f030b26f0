"""A state machine of a link and a client: Hypothesis chooses what is done next, and shrinks to the fewest steps.

`verify.no_update_lost` knows puts, deletes and one subscription. A client that can do more (a lease) has rules of
its own: a method for each thing that it can do, and one for what must hold. Put yours in place of `ConfigStore`.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from runtime_config import ConfigStore, Key

from pytest_netfault import Blackhole, Refuse, Reset, Sever

LIMIT = Key("billing.limit", int, default=0)
FAULTS = st.sampled_from([Sever(), Reset(), Refuse(), Blackhole(on_heal="reset")])
# How long the client may take to come back and tell. Each failing input takes as long, and shrinking tries many.
SETTLE_SECONDS = 3.0


class LinkAndClient(RuleBasedStateMachine):
    """One client behind a link, another one beside it, and what the first one must have been told."""

    def __init__(self, netfault_factory, etcd_server):
        super().__init__()
        etcd_server.renew()  # an empty prefix for each input, and not only for each test
        self.opened = ExitStack()
        net = self.opened.enter_context(netfault_factory())
        self.link = net.forward(etcd_server.address)
        self.reader = self.opened.enter_context(ConfigStore(self.link.address, root=etcd_server.prefix))
        self.writer = self.opened.enter_context(ConfigStore(etcd_server.address, root=etcd_server.prefix))
        self.updates = self.opened.enter_context(self.reader.subscribe(LIMIT))
        self.updates.get(timeout=5)  # the snapshot
        self.broken = None
        self.written = []
        self.received = []

    # -- what can be done ------------------------------------------------------------------------------------

    @rule()
    def write(self):
        self.written.append(len(self.written) + 1)
        self.writer.set(LIMIT, self.written[-1])

    @precondition(lambda self: self.broken is None)
    @rule(fault=FAULTS)
    def break_the_link(self, fault):
        self.broken = self.link.apply(fault)

    @precondition(lambda self: self.broken is not None)
    @rule()
    def heal_the_link(self):
        self.broken.heal()
        self.broken = None

    @precondition(lambda self: self.broken is None)
    @rule()
    def catch_up(self):
        while len(self.received) < len(self.written):  # queue.Empty: it never arrived
            self.received.append(self.updates.get(timeout=SETTLE_SECONDS).changes[0].new)

    # -- what must hold --------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_skipped_and_nothing_comes_twice(self):
        assert self.received == self.written[: len(self.received)]

    def teardown(self):
        with self.opened:  # closes the clients and the link, whatever fails here
            if self.broken is not None:
                self.heal_the_link()
            self.catch_up()
            self.nothing_is_skipped_and_nothing_comes_twice()


# Hypothesis may heal each fault before anything is sent, and then it has met no traffic.
@pytest.mark.filterwarnings("ignore::pytest_netfault.LinkWarning")
def test_whatever_is_done_nothing_is_lost(netfault_factory, etcd_server):
    run_state_machine_as_test(
        lambda: LinkAndClient(netfault_factory, etcd_server),
        settings=settings(
            deadline=None,  # an outage takes as long as it takes
            max_examples=5,
            stateful_step_count=12,
            phases=set(Phase) - {Phase.explain},
        ),
    )
