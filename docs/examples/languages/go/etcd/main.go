// A service's configuration in etcd, with clientv3. With -naive it goes on from now when it has lost its connection.
package main

import (
	"context"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
	"store/kit"
)

type store struct{ *clientv3.Client }

func (etcd store) Write(key string, value *string) (err error) {
	ctx, cancel := context.WithTimeout(etcd.Ctx(), time.Second)
	defer cancel()
	if value == nil {
		_, err = etcd.Delete(ctx, key)
	} else {
		_, err = etcd.Put(ctx, key, *value)
	}
	return err
}

func (etcd store) Subscribe(prefix string, started func()) {
	for again, naive := false, len(os.Args) > 1; ; time.Sleep(2 * time.Second) {
		state, err := etcd.Get(etcd.Ctx(), prefix, clientv3.WithPrefix())
		if err != nil {
			continue
		}
		if !again || !naive {
			kvs := map[string]string{}
			for _, kv := range state.Kvs {
				kvs[string(kv.Key)] = string(kv.Value)
			}
			kit.Resync(state.Header.Revision, kvs)
		}
		ctx, cancel := context.WithCancel(etcd.Ctx())
		if again = true; naive {
			go func() { etcd.ActiveConnection().WaitForStateChange(ctx, connectivity.Ready); cancel() }()
		}
		watch := etcd.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(state.Header.Revision+1))
		started()
		for changes := range watch { // it resumes by itself, and ends where what was missed has been compacted
			for _, change := range changes.Events {
				kit.Deliver(change.Kv.Key, change.Kv.Value, change.Kv.ModRevision, change.Type == clientv3.EventTypeDelete)
			}
		}
		cancel()
	}
}

func main() {
	kit.Serve(func(address string) kit.Store {
		etcd, _ := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 2 * time.Second})
		return store{etcd}
	})
}
