// An etcd client, clientv3, as a program for the proof kit. With -naive it watches from now on after each lost connection.
package main

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)
