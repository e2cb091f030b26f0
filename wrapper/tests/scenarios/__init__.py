"""Every way in which a network or a server fails while a service follows its configuration, as a table.

    cd wrapper/tests && python -m scenarios                      # all of them, on every etcd at hand
    cd wrapper/tests && python -m scenarios --quick --only wiped  # one of them, with short outages

`oracle` judges what was delivered to a subscriber (pure), `harness` is what a scenario plays on (a server, a link, a
writer, a follower), `catalogue` has the scenarios, `__main__` prints the table. The tests play the same scenarios with
short outages. None of this is part of the distribution: it needs pytest-netfault, which the wrapper never imports.
"""
