// A service's configuration in a bucket of NATS JetStream, with nats.go.
package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"store/kit"
)

type store struct{ jetstream.KeyValue }

func (bucket store) Write(key string, value *string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if value == nil {
		err = bucket.Delete(ctx, key)
	} else {
		_, err = bucket.PutString(ctx, key, *value)
	}
	return err
}

func (bucket store) Subscribe(prefix string, started func()) {
	watcher, err := bucket.Watch(context.Background(), prefix+">")
	for ; err != nil; watcher, err = bucket.Watch(context.Background(), prefix+">") {
	}
	state, following, last := map[string]string{}, false, uint64(0)
	for change := range watcher.Updates() {
		if change == nil { // the state is complete; what follows are changes
			kit.Resync(nil, state)
			started()
			following = true
			continue
		}
		deleted, known := change.Operation() != jetstream.KeyValuePut, change.Revision() <= last
		if following && !known { // nats.go may begin again at the beginning after a reconnect
			kit.Deliver([]byte(change.Key()), change.Value(), int64(change.Revision()), deleted)
		} else if !following && !deleted {
			state[change.Key()] = string(change.Value())
		}
		last = max(last, change.Revision())
	}
}

func main() {
	kit.Serve(func(address string) kit.Store {
		connection, _ := nats.Connect(address, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
			nats.ReconnectWait(100*time.Millisecond), nats.Timeout(time.Second), nats.ReconnectBufSize(-1),
			nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2))
		stream, _ := jetstream.New(connection)
		bucket, err := stream.CreateOrUpdateKeyValue(context.Background(), jetstream.KeyValueConfig{Bucket: "config", History: 64})
		if err != nil {
			panic(err)
		}
		return store{bucket}
	})
}
