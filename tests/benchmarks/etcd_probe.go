// An open-loop load of puts on several members of etcd at once, to the letter what failover_probe.c
// is to muster: each member is sent one put of -size bytes every -every-us, whatever it answers.
//
// On stdout one line for each put that was accepted: when it was sent and when its answer was there,
// in microseconds of the wall clock. On stderr a count of those that were not, with the first error.
//
// Built as etcd_load.go is.
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
)

const answerWithin = 2 * time.Second

type probe struct {
	mutex   sync.Mutex
	out     *bufio.Writer
	refused int
	first   error
}

func (p *probe) put(client *clientv3.Client, key string, value string) {
	sent := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	_, err := client.Put(ctx, key, value)
	cancel()
	answered := time.Now()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err == nil {
		fmt.Fprintf(p.out, "%d %d\n", sent.UnixNano()/1000, answered.UnixNano()/1000)
		return
	}
	if p.refused == 0 {
		p.first = err
	}
	p.refused++
}

func main() {
	endpoints := flag.String("endpoints", "", "host:port, separated by commas")
	every := flag.Int("every-us", 2000, "between two puts on one member")
	seconds := flag.Int("seconds", 5, "how long")
	run := flag.Int("run", 0, "another number, other keys")
	size := flag.Int("size", 256, "bytes of a value")
	flag.Parse()
	p := &probe{out: bufio.NewWriter(os.Stdout)}
	var group sync.WaitGroup
	for i, endpoint := range strings.Split(*endpoints, ",") {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second})
		if err != nil {
			fmt.Fprintf(os.Stderr, "etcd_probe: connect: %v\n", err)
			os.Exit(1)
		}
		value := strings.Repeat("v", *size)
		group.Add(1)
		go func(i int) {
			defer group.Done()
			began := time.Now()
			for sent := 0; time.Since(began) < time.Duration(*seconds)*time.Second; {
				due := int(time.Since(began).Nanoseconds() / 1000 / int64(*every))
				for ; sent < due; sent++ {
					group.Add(1)
					go func(key string) {
						defer group.Done()
						p.put(client, key, value)
					}(fmt.Sprintf("%04d-%d-%010d", *run, i, sent))
				}
				time.Sleep(time.Millisecond)
			}
		}(i)
	}
	group.Wait()
	p.out.Flush()
	if p.refused > 0 {
		fmt.Fprintf(os.Stderr, "%d not accepted, the first: %v\n", p.refused, p.first)
	}
}
