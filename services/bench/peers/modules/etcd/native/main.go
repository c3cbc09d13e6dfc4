// A load generator over etcd's own client, for those who use no gateway. It obeys the same orders as
// services/bench/load/process.ts and answers with the same reports: lines of JSON over the descriptor
// that Node names in NODE_CHANNEL_FD. Values are made, stamped and compared in the same way.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	bodiesBytes      = 8 << 20
	bodiesMax        = 1024
	stampBytes       = 6
	spacesPerPlan    = 256
	requestTimeout   = 30 * time.Second
	requestsPerConn  = 8
	connectionsLeast = 3
	getShare         = 0.1
)

type target struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

type plan struct {
	Targets     []target `json:"targets"`
	Connections int      `json:"connections"`
	SizeBytes   int      `json:"sizeBytes"`
	Keys        int64    `json:"keys"`
	FirstSpace  int64    `json:"firstSpace"`
	Dialect     struct {
		Prefix string `json:"prefix"`
	} `json:"dialect"`
}

type order struct {
	Kind     string `json:"kind"`
	Plan     plan   `json:"plan"`
	Keys     int64  `json:"keys"`
	Times    int64  `json:"times"`
	Workload string `json:"workload"`
}

type tally struct {
	Operations int            `json:"operations"`
	Seconds    float64        `json:"seconds"`
	P50Ms      float64        `json:"p50Ms"`
	P99Ms      float64        `json:"p99Ms"`
	MaxMs      float64        `json:"maxMs"`
	Errors     map[string]int `json:"errors"`
}

// work answers whether there was something to do, and what was wrong with the answer.
type work func() (done bool, wrong error)

type load struct {
	plan    plan
	bodies  [][]byte
	clients []*clientv3.Client
	space   int64
	asked   atomic.Int64
	acked   atomic.Int64
	running sync.WaitGroup
	stopped atomic.Bool

	mutex     sync.Mutex
	latencies []time.Duration
	errors    map[string]int
	began     time.Time
}

func newLoad(p plan) (*load, error) {
	l := &load{plan: p, errors: map[string]int{}}
	count := max(1, min(bodiesMax, bodiesBytes/(p.SizeBytes+1)))
	for range count {
		body := make([]byte, p.SizeBytes)
		if _, err := rand.Read(body); err != nil {
			return nil, err
		}
		l.bodies = append(l.bodies, body)
	}
	for i := range max(connectionsLeast, p.Connections/requestsPerConn) {
		to := p.Targets[i%len(p.Targets)]
		client, err := clientv3.New(clientv3.Config{
			Endpoints:   []string{fmt.Sprintf("%s:%d", to.Host, to.Port)},
			DialTimeout: requestTimeout,
			Logger:      zap.NewNop(),
		})
		if err != nil {
			return nil, err
		}
		l.clients = append(l.clients, client)
	}
	return l, nil
}

func (l *load) name(space, key int64) string {
	return fmt.Sprintf("%s%04x%012d", l.plan.Dialect.Prefix, l.plan.FirstSpace+space, key)
}

func (l *load) value(key int64) []byte {
	body := bytes.Clone(l.bodies[key%int64(len(l.bodies))])
	rest := key
	for i := 0; i < min(stampBytes, len(body)); i++ {
		body[i] = byte(rest % 256)
		rest /= 256
	}
	return body
}

func (l *load) put(client *clientv3.Client, space, key int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	_, err := client.Put(ctx, l.name(space, key), string(l.value(key)))
	return err
}

// get is linearizable, which is the client's default.
func (l *load) get(client *clientv3.Client, space, key int64, isThere bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	answer, err := client.Get(ctx, l.name(space, key))
	switch {
	case err != nil:
		return err
	case !isThere && len(answer.Kvs) != 0:
		return fmt.Errorf("a value of a key that is not there")
	case isThere && (len(answer.Kvs) != 1 || !bytes.Equal(answer.Kvs[0].Value, l.value(key))):
		return fmt.Errorf("wrong bytes")
	}
	return nil
}

func (l *load) putNext(client *clientv3.Client) error {
	err := l.put(client, l.space, l.asked.Add(1)-1)
	if err == nil {
		l.acked.Add(1)
	}
	return err
}

func (l *load) getAny(client *clientv3.Client, space, keys int64, isThere bool) error {
	return l.get(client, space, mathrand.Int64N(keys), isThere)
}

func (l *load) workOf(workload string, client *clientv3.Client) work {
	return func() (bool, error) {
		switch {
		case workload == "get", workload == "mix" && mathrand.Float64() < getShare:
			return true, l.getAny(client, 0, l.plan.Keys, true)
		case workload == "miss":
			return true, l.getAny(client, spacesPerPlan-1, l.plan.Keys, false)
		default:
			return true, l.putNext(client)
		}
	}
}

// start runs one goroutine for each connection that the other generator would open.
func (l *load) start(makeWork func(client *clientv3.Client) work) {
	l.stopped.Store(false)
	l.begin()
	for i := range l.plan.Connections {
		do := makeWork(l.clients[i%len(l.clients)])
		l.running.Add(1)
		go func() {
			defer l.running.Done()
			for !l.stopped.Load() {
				began := time.Now()
				done, wrong := do()
				if !done {
					return
				}
				l.count(time.Since(began), wrong)
			}
		}()
	}
}

func (l *load) count(took time.Duration, wrong error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if wrong != nil {
		l.errors[wrong.Error()]++
		return
	}
	l.latencies = append(l.latencies, took)
}

func (l *load) begin() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.latencies = l.latencies[:0]
	l.errors = map[string]int{}
	l.began = time.Now()
}

func (l *load) tally() tally {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	sort.Slice(l.latencies, func(i, j int) bool { return l.latencies[i] < l.latencies[j] })
	at := func(share float64) float64 {
		if len(l.latencies) == 0 {
			return 0
		}
		index := min(len(l.latencies)-1, int(float64(len(l.latencies))*share))
		return float64(l.latencies[index]) / float64(time.Millisecond)
	}
	return tally{
		Operations: len(l.latencies),
		Seconds:    time.Since(l.began).Seconds(),
		P50Ms:      at(0.5),
		P99Ms:      at(0.99),
		MaxMs:      at(1),
		Errors:     l.errors,
	}
}

// fill stores each key until it is acknowledged.
func (l *load) fill(keys int64) {
	var next atomic.Int64
	l.start(func(client *clientv3.Client) work {
		return func() (bool, error) {
			key := next.Add(1) - 1
			if key >= keys {
				return false, nil
			}
			for l.put(client, 0, key) != nil {
				time.Sleep(10 * time.Millisecond)
			}
			return true, nil
		}
	})
	l.running.Wait()
}

func (l *load) verify(times int64) tally {
	asked := l.asked.Load()
	var left atomic.Int64
	if asked > 0 {
		left.Store(times)
	}
	l.start(func(client *clientv3.Client) work {
		return func() (bool, error) {
			if left.Add(-1) < 0 {
				return false, nil
			}
			return true, l.getAny(client, l.space, asked, true)
		}
	})
	l.running.Wait()
	return l.tally()
}

func (l *load) obey(o order, say func(report map[string]any)) {
	switch o.Kind {
	case "fill":
		l.fill(o.Keys)
		say(map[string]any{"kind": "filled"})
	case "run":
		l.asked.Store(0)
		l.acked.Store(0)
		if o.Workload == "put" || o.Workload == "mix" {
			l.space++
		}
		l.start(func(client *clientv3.Client) work { return l.workOf(o.Workload, client) })
	case "begin":
		l.begin()
		say(map[string]any{"kind": "began"})
	case "end":
		report := l.tally()
		l.stopped.Store(true)
		say(map[string]any{"kind": "tally", "tally": report})
		l.running.Wait()
		say(map[string]any{"kind": "idle", "acknowledged": l.acked.Load()})
	case "verify":
		say(map[string]any{"kind": "verified", "tally": l.verify(o.Times)})
	}
}

func main() {
	descriptor, err := strconv.Atoi(os.Getenv("NODE_CHANNEL_FD"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "this program is started by npm run bench:peers")
		os.Exit(1)
	}
	channel := os.NewFile(uintptr(descriptor), "channel")
	say := func(report map[string]any) {
		line, err := json.Marshal(report)
		if err == nil {
			_, err = channel.Write(append(line, '\n'))
		}
		if err != nil {
			os.Exit(1)
		}
	}
	var l *load
	lines := bufio.NewScanner(channel)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if o.Kind == "plan" {
			if l, err = newLoad(o.Plan); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			say(map[string]any{"kind": "ready"})
		} else if l != nil {
			l.obey(o, say)
		}
	}
}
