// The reference replicator: a loop on the franz-go client that consumes records and produces each to the same partition of
// the same topic on the other cluster, idempotent and with acks=all. Ends once it has copied up to where the source ended
// at the start, unless FOLLOW is set.
//
// Environment: FROM, TO, TOPIC, PARTITIONS, RECORDS, and optionally COMPRESSION (none, lz4, zstd), CA_FILE (TLS), FOLLOW.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	topic := os.Getenv("TOPIC")
	partitions, records := number("PARTITIONS"), int64(number("RECORDS"))
	offsets := make(map[int32]kgo.Offset, partitions)
	for partition := range partitions {
		offsets[int32(partition)] = kgo.NewOffset().AtStart()
	}
	consumer := client("FROM",
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.FetchMaxBytes(64<<20), kgo.FetchMaxPartitionBytes(16<<20), kgo.FetchMinBytes(1))
	defer consumer.Close()
	codecs := map[string]kgo.CompressionCodec{
		"": kgo.NoCompression(), "none": kgo.NoCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, known := codecs[os.Getenv("COMPRESSION")]
	if !known {
		log.Fatalf("COMPRESSION cannot be %q", os.Getenv("COMPRESSION"))
	}
	producer := client("TO",
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.MaxBufferedRecords(200_000), kgo.MaxBufferedBytes(64<<20), kgo.ProducerBatchMaxBytes(1_000_000))
	defer producer.Close()

	background := context.Background()
	var copied atomic.Int64
	done := make(chan struct{})
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			log.Fatalf("a record was refused: %v", err)
		}
		if copied.Add(1) == records && os.Getenv("FOLLOW") == "" {
			close(done)
		}
	}
	go func() {
		for {
			fetches := consumer.PollFetches(background)
			if fetches.IsClientClosed() {
				return
			}
			fetches.EachError(func(topic string, partition int32, err error) {
				log.Fatalf("cannot fetch %s-%d: %v", topic, partition, err)
			})
			fetches.EachRecord(func(record *kgo.Record) {
				producer.Produce(background, record, promise) // topic, partition and timestamp stay as fetched
			})
		}
	}()
	<-done
}

// client connects to the brokers that the variable names.
func client(variable string, options ...kgo.Opt) *kgo.Client {
	options = append(options, kgo.SeedBrokers(os.Getenv(variable)))
	if file := os.Getenv("CA_FILE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			log.Fatalf("no certificate in %s", file)
		}
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: roots}))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		log.Fatal(err)
	}
	return client
}

func number(variable string) int {
	value, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		log.Fatalf("%s: %v", variable, err)
	}
	return value
}
