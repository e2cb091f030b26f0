"""The pytest plugin: options and fixtures. Imports pytest and the standard library only."""
