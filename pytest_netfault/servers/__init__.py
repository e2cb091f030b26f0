"""Real servers for tests.

* `find`: `find_etcd` finds an etcd on this machine, or takes the one that is named.
* `etcd`: `EtcdServer` owns one etcd process, `AttachedEtcd` reads one that is there already.
* `etcd_docker`: `EtcdContainer`, the same from a Docker image.
* `etcd_cluster`: `EtcdCluster`, three members that talk to each other through links.
* `errors`: `ServerError`, `ServerNotFound`, `ServerUnreachable`.
* `log`: `LogRevision` and `LogEvent`, what a store committed.
* the rest is how: `gateway` (etcd's JSON gateway), `collector` (the whole log), `etcd_process`, and what never
  outlives its owner: `process`, `launcher`, `scratch`, `ports` and `owner`.

Nothing is imported here, so that a session which uses no server pays for none.
"""
