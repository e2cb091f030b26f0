"""A Redis for the proof: started with it, restarted by its schedules, and ended with it."""

from __future__ import annotations

import shutil

import redis

from pytest_netfault.servers import OwnedServer


class Redis(OwnedServer):
    def __init__(self):
        super().__init__(self._options, name="redis")

    @staticmethod
    def _options(port, folder):
        kept = ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        program = shutil.which("redis-server") or "redis-server"
        return [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *kept]

    def read(self, prefix):
        """The truth of a store without a log: what it holds in the end."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            return {key: client.get(key) for key in client.scan_iter(f"{prefix}*")}


open_redis = Redis
