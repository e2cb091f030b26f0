"""Real servers for tests.

* `etcd`: `EtcdServer` owns one etcd process, `AttachedEtcd` reads one that is there already.
* `errors`: `ServerError`, `ServerNotFound`, `ServerUnreachable`.
* `log`: `LogRevision` and `LogEvent`, what a store committed.
* the rest is how: `gateway` (etcd's JSON gateway), `collector` (the whole log), `process`, `launcher`,
  `scratch` and `ports` (things that never outlive their owner).

Nothing is imported here, so that a session which uses no server pays for none.
"""
