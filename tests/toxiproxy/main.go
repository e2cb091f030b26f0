// Toxiproxy's own tests of its API and its command line client, built from the module as it was published:
//
//	go test -c -o api.test github.com/Shopify/toxiproxy/v2
//	go build -o toxiproxy-cli github.com/Shopify/toxiproxy/v2/cmd/cli
package main

import _ "github.com/Shopify/toxiproxy/v2"

func main() {}
