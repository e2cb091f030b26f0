// Package kit is the proof kit's protocol for clients in Go: requests on standard input, answers and deliveries on
// standard output, one JSON object a line.
package kit

import (
	"encoding/json"
	"os"
	"sync"
)

// Store is a client under test.
type Store interface {
	Write(key string, value *string) error   // nil deletes; an error means that nobody knows whether it was applied
	Subscribe(prefix string, started func()) // calls started once it is fixed from where on changes are delivered
}

// Serve answers requests until the one to close.
func Serve(open func(address string) Store) {
	var store Store
	for lines := json.NewDecoder(os.Stdin); ; {
		var asked struct {
			ID                       int
			Do, Address, Key, Prefix string
			Value                    *string
		}
		if lines.Decode(&asked) != nil {
			return
		}
		ok := sync.OnceFunc(func() { say(object{"id": asked.ID, "ok": true}) })
		switch asked.Do {
		case "open":
			store = open(asked.Address)
			ok()
		case "put", "delete":
			go func() {
				if err := store.Write(asked.Key, asked.Value); err != nil {
					say(object{"id": asked.ID, "unknown": err.Error()})
					return
				}
				ok()
			}()
		case "subscribe":
			go store.Subscribe(asked.Prefix, ok)
		case "close":
			ok()
			return // with the program everything ends that the client has opened
		}
	}
}

// Deliver hands one change to the subscriber.
func Deliver(key, value []byte, revision int64, deleted bool) {
	event := object{"key": string(key), "value": string(value), "revision": revision}
	if deleted {
		event["value"] = nil
	}
	say(object{"deliver": object{"events": []object{event}}})
}

// Resync hands the whole state at a revision to the subscriber; nil if the client does not say at which.
func Resync(revision any, kvs map[string]string) {
	say(object{"deliver": object{"resync": object{"revision": revision, "kvs": kvs}}})
}

type object map[string]any

// One call of Write for each line, so that lines of several goroutines do not mix.
func say(line object) { json.NewEncoder(os.Stdout).Encode(line) }
