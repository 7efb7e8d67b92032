// Appends with nats.go, the client for Go: publishes to a stream from many goroutines, each message to a subject of its
// own with an expectation. Prints how many were acknowledged a second.
//
// Usage: nats_go URL STREAM PREFIX COUNT WRITERS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// As the lean publisher's: 256 bytes, and a header of the size of the store's own.
const (
	bodySize = 256
	filler   = "1 0123456789abcdef01234a0 1 1 0 - - 01234567"
)

func main() {
	url, stream, prefix := os.Args[1], os.Args[2], os.Args[3]
	count, writers := number(os.Args[4]), number(os.Args[5])
	connection, err := nats.Connect(url)
	check(err)
	defer connection.Close()
	js, err := jetstream.New(connection)
	check(err)
	publish := func(subject string, from, to int) {
		var next atomic.Int64
		next.Store(int64(from))
		var group sync.WaitGroup
		for range writers {
			group.Go(func() {
				for index := int(next.Add(1)) - 1; index < to; index = int(next.Add(1)) - 1 {
					message := nats.NewMsg(fmt.Sprintf("%s.%s-%d", stream, subject, index))
					pad := strings.Repeat("x", 220)
					message.Data = fmt.Appendf(nil, "%-*s", bodySize, fmt.Sprintf(`{"number":%d,"pad":"%s"}`, index, pad))
					message.Header.Set("Aether", filler)
					_, err := js.PublishMsg(context.Background(), message, jetstream.WithExpectLastSequencePerSubject(0))
					check(err)
				}
			})
		}
		group.Wait()
	}
	warmUp := count / 10
	publish(prefix, 0, warmUp)
	begun := time.Now()
	publish(prefix, warmUp, warmUp+count)
	fmt.Println(float64(count) / time.Since(begun).Seconds())
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
