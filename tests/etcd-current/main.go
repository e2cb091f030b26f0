// etcd-current is today's etcd as one static binary, for the tests.
//
// The released main package cannot be installed by name, because its go.mod has replace
// directives. Its server is a library, though, and this is all that its main package does with it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
