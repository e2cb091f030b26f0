"""jetcd: the program below, which the kit drives by lines of JSON. It leaves it to jetcd to resume its watch."""

from docs.examples.programs import command
from pytest_netfault import ProcessStore

java, *rest = command("java-etcd")
open_store = ProcessStore([java, "-Dresume=true", *rest])
