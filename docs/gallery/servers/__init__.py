"""The servers of the gallery: real ones, each a process of ours with an object that reads its truth directly.

Each module has a function ``open_server()``, a context manager that gives what the proof calls its ``server``, and
``version()``. A machine that has not got it raises `ServerNotFound`.
"""
