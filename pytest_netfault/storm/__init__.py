"""A storm: the tests of an existing suite, each played again with one transient fault at one place of its traffic.

::

    observed plays -> profile -> plan -> places -> plays -> suspicions -> findings -> baseline

Nothing here knows pytest. ``profile``, ``plan``, ``play``, ``findings`` and ``baseline`` are pure functions over frozen
data; ``traffic`` counts what passes, ``transient`` is the fault that strikes at a place, ``arming`` puts it on every
link that is open, and ``watchdog`` and ``remains`` observe the process that plays.
"""
