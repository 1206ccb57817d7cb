// A closed-loop load on etcd 3.4, to the letter what rpc_load.c is to muster: writers that each put
// a value, wait for the answer and put the next. Keys are never repeated (16 digits), values are
// -size bytes, unique (they begin with the key). With -batch a transaction of that many puts.
//
// The writers share -conns connections, by default at most 64, as etcd's own load generator lets
// them do. Whether one connection each would be faster or slower was not measured.
//
// One JSON object on standard output, as rpc_load's. Exits with 1 if any answer was an error.
//
// Built by tests/bench against Debian's golang-etcd-server-dev:
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o etcd_load etcd_load.go
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type options struct {
	endpoints string
	writers   int
	conns     int
	batch     int
	size      int
	warm      float64
	seconds   float64
	run       uint64
	read      bool
}

type load struct {
	options options
	clients []*clientv3.Client
	pattern []byte
	next    uint64
	errors  int64
	first   sync.Once
	from    time.Time
	until   time.Time
}

func die(what string, err error) {
	fmt.Fprintf(os.Stderr, "etcd_load: %s: %v\n", what, err)
	os.Exit(1)
}

func parse() options {
	var o options
	flag.StringVar(&o.endpoints, "endpoints", "127.0.0.1:2379", "host:port, separated by commas")
	flag.IntVar(&o.writers, "writers", 1, "concurrent writers")
	flag.IntVar(&o.conns, "conns", 0, "connections they share; 0: one each, at most 64")
	flag.IntVar(&o.batch, "batch", 1, "puts in one transaction")
	flag.IntVar(&o.size, "size", 256, "bytes of a value")
	flag.Float64Var(&o.warm, "warm", 1, "seconds before counting")
	flag.Float64Var(&o.seconds, "seconds", 5, "seconds of counting")
	flag.Uint64Var(&o.run, "run", 0, "another number, other keys")
	flag.BoolVar(&o.read, "read", false, "linearizable gets instead of puts")
	flag.Parse()
	if o.conns == 0 {
		o.conns = o.writers
		if o.conns > 64 {
			o.conns = 64
		}
	}
	return o
}

func (l *load) put() clientv3.Op {
	key := fmt.Sprintf("%016d", atomic.AddUint64(&l.next, 1))
	value := make([]byte, l.options.size)
	copy(value, key)
	copy(value[len(key):], l.pattern)
	return clientv3.OpPut(key, string(value))
}

// The first key of an earlier load with the same -run, linearizable as etcd's reads are by default.
func (l *load) get(client *clientv3.Client) error {
	answer, err := client.Get(context.Background(), fmt.Sprintf("%016d", l.options.run*10000000000+1))
	if err == nil && len(answer.Kvs) != 1 {
		err = errors.New("the key is not there: put with the same -run first")
	}
	return err
}

func (l *load) once(client *clientv3.Client) error {
	var err error
	if l.options.read {
		err = l.get(client)
	} else if l.options.batch == 1 {
		_, err = client.Do(context.Background(), l.put())
	} else {
		puts := make([]clientv3.Op, l.options.batch)
		for i := range puts {
			puts[i] = l.put()
		}
		_, err = client.Txn(context.Background()).Then(puts...).Commit()
	}
	return err
}

func (l *load) write(client *clientv3.Client) []time.Duration {
	var latencies []time.Duration
	for {
		sent := time.Now()
		if sent.After(l.until) {
			return latencies
		}
		err := l.once(client)
		answered := time.Now()
		if err != nil {
			atomic.AddInt64(&l.errors, 1)
			l.first.Do(func() { fmt.Fprintf(os.Stderr, "etcd_load: the first error: %v\n", err) })
		} else if sent.After(l.from) && answered.Before(l.until) {
			latencies = append(latencies, answered.Sub(sent))
		}
	}
}

func milliseconds(sorted []time.Duration, part float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(float64(len(sorted)) * part)
	if at >= len(sorted) {
		at = len(sorted) - 1
	}
	return sorted[at].Seconds() * 1e3
}

func (l *load) report(all []time.Duration) {
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	cpu := time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	rate := float64(len(all)) / l.options.seconds
	fmt.Printf("{\"writers\": %d, \"batch\": %d, \"requests_per_s\": %.1f, \"records_per_s\": %.1f, "+
		"\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"errors\": %d, \"load_cpu_s\": %.2f}\n",
		l.options.writers, l.options.batch, rate, rate*float64(l.options.batch),
		milliseconds(all, 0.5), milliseconds(all, 0.99), milliseconds(all, 1), l.errors, cpu)
}

func main() {
	l := &load{options: parse()}
	l.next = l.options.run * 10000000000
	l.pattern = make([]byte, l.options.size)
	if _, err := rand.Read(l.pattern); err != nil {
		die("random", err)
	}
	for i := 0; i < l.options.conns; i++ {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:   strings.Split(l.options.endpoints, ","),
			DialTimeout: 10 * time.Second,
		})
		if err != nil {
			die("connect", err)
		}
		l.clients = append(l.clients, client)
	}
	l.from = time.Now().Add(time.Duration(l.options.warm * float64(time.Second)))
	l.until = l.from.Add(time.Duration(l.options.seconds * float64(time.Second)))
	latencies := make([][]time.Duration, l.options.writers)
	var group sync.WaitGroup
	for i := 0; i < l.options.writers; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			latencies[i] = l.write(l.clients[i%len(l.clients)])
		}(i)
	}
	group.Wait()
	var all []time.Duration
	for _, some := range latencies {
		all = append(all, some...)
	}
	l.report(all)
	if l.errors > 0 {
		os.Exit(1)
	}
}
