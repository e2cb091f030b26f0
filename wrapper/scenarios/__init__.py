"""Every way in which a network or a server fails while a service follows its configuration, as a table.

    cd wrapper && python -m scenarios                      # all of them, on every etcd at hand
    cd wrapper && python -m scenarios --quick --only wipe  # one of them, with short outages

`oracle` judges what a subscriber was handed (pure), `scene` is the stage (a server, a link, a writer, a follower),
`rows` are the scenarios, `__main__` prints the table. The tests play the same rows with short outages.
It is no part of the distribution: it needs pytest-netfault, which the wrapper never imports.
"""
