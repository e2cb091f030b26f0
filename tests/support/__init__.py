"""What the tests share: a store with a family of clients, an in-memory server for the runner, child processes.

Tests import it as ``support``; ``pythonpath`` in pyproject.toml makes that possible.
"""
