"""nats.go: the program below, which the kit drives by lines of JSON."""

from docs.examples.programs import command
from pytest_netfault import ProcessStore

open_store = ProcessStore(command("go-nats"))
