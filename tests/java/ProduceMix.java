import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Produces all that a record can be: keys, null keys, tombstones, headers with equal names and null values, timestamps out of order,
 * data that compresses and data that does not; plain, idempotent or in transactions of which some are aborted.
 *
 * <p>Prints a line {@code acked P=N ...} now and then, and in the end {@code partition P acked N committed N} for each partition.
 * With {@code --until-stdin-closes} it goes on until its standard input ends, so that it never outlives whoever started it.
 */
public final class ProduceMix {
    private static final int POOL_BYTES = 16 << 20;
    private static final String[] WORDS = {
        "order", "customer", "payment", "shipped", "cancelled", "\"amount\":", "\"currency\":\"EUR\"", "{", "}", ", ", "0", "1", "17"
    };

    private final Arguments arguments;
    private final SplittableRandom random;
    private final byte[] noise = new byte[POOL_BYTES];
    private final byte[] text;
    private final int partitions;
    private final int smallest;
    private final int largest;
    private final long firstTimestamp;
    private final AtomicLongArray acked;
    private final AtomicLongArray committed;
    private final AtomicReference<Exception> failure = new AtomicReference<>();
    private volatile boolean ending;

    public static void main(String[] words) throws Exception {
        new ProduceMix(new Arguments(words, "until-stdin-closes", "always-keyed", "numbered")).run();
    }

    private ProduceMix(Arguments arguments) {
        this.arguments = arguments;
        random = new SplittableRandom(arguments.number("seed", 1));
        random.nextBytes(noise);
        text = text();
        partitions = (int) arguments.number("partitions", 1);
        String[] sizes = arguments.text("size", "10-1000").split("-");
        smallest = Integer.parseInt(sizes[0]);
        largest = Integer.parseInt(sizes[sizes.length - 1]);
        firstTimestamp = arguments.number("timestamp", System.currentTimeMillis() - 600_000);
        acked = new AtomicLongArray(partitions);
        committed = new AtomicLongArray(partitions);
    }

    private void run() throws Exception {
        boolean endless = arguments.flag("until-stdin-closes");
        long records = arguments.number("records", Long.MAX_VALUE);
        long bytes = arguments.number("bytes", Long.MAX_VALUE);
        if (!endless && records == Long.MAX_VALUE && bytes == Long.MAX_VALUE) {
            throw new IllegalArgumentException("--records, --bytes or --until-stdin-closes is missing");
        }
        if (endless) {
            watchInput();
        }
        boolean transactional = arguments.text("mode", "idempotent").equals("transactional");
        long transactionRecords = arguments.number("transaction-records", 100);
        long abortEvery = arguments.number("abort-every", 3);
        double rate = arguments.number("rate", 0);
        String topic = arguments.text("topic", null);

        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties(transactional))) {
            if (transactional) {
                producer.initTransactions();
            }
            long[] open = new long[partitions];
            long inTransaction = 0;
            long transactions = 0;
            long sentBytes = 0;
            long start = System.nanoTime();
            long lastShown = start;
            for (long n = 0; n < records && sentBytes < bytes && !ending && failure.get() == null; n++) {
                if (transactional && inTransaction == 0) {
                    producer.beginTransaction();
                }
                ProducerRecord<byte[], byte[]> record = record(topic, n);
                int partition = record.partition();
                sentBytes += record.value() == null ? 0 : record.value().length;
                producer.send(record, (metadata, exception) -> {
                    if (exception == null) {
                        acked.incrementAndGet(partition);
                    } else {
                        failure.compareAndSet(null, exception);
                    }
                });
                if (transactional) {
                    open[partition]++;
                    if (++inTransaction == transactionRecords) {
                        end(producer, ++transactions, abortEvery, open);
                        inTransaction = 0;
                    }
                }
                if (rate > 0) {
                    long due = start + (long) ((n + 1) * 1e9 / rate);
                    while (!ending && due - System.nanoTime() > 1_000_000) {
                        Thread.sleep(1);
                    }
                }
                if ((n & 63) == 0 && System.nanoTime() - lastShown > 200_000_000) {
                    lastShown = System.nanoTime();
                    show();
                }
            }
            if (transactional && inTransaction > 0) {
                end(producer, ++transactions, abortEvery, open);
            }
            producer.flush();
        }
        if (failure.get() != null) {
            throw failure.get();
        }
        for (int partition = 0; partition < partitions; partition++) {
            long done = acked.get(partition);
            long visible = transactional ? committed.get(partition) : done;
            System.out.println("partition " + partition + " acked " + done + " committed " + visible);
        }
    }

    /** Commits, or aborts every {@code abortEvery}th transaction (0: never). */
    private void end(KafkaProducer<byte[], byte[]> producer, long number, long abortEvery, long[] open) {
        // Aborting drops what was not sent yet: what a test wants is aborted data in the log.
        producer.flush();
        if (abortEvery > 0 && number % abortEvery == 0) {
            producer.abortTransaction();
        } else {
            producer.commitTransaction();
            for (int partition = 0; partition < partitions; partition++) {
                committed.addAndGet(partition, open[partition]);
            }
        }
        java.util.Arrays.fill(open, 0);
    }

    private Properties properties(boolean transactional) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments.text("bootstrap", null));
        properties.put("compression.type", arguments.text("codec", "none"));
        properties.put("acks", "all");
        properties.put("linger.ms", arguments.text("linger", "5"));
        properties.put("batch.size", arguments.text("batch", "16384"));
        properties.put("buffer.memory", Integer.toString(64 << 20));
        properties.put("max.request.size", Integer.toString(16 << 20));
        properties.put("key.serializer", ByteArraySerializer.class.getName());
        properties.put("value.serializer", ByteArraySerializer.class.getName());
        properties.put("enable.idempotence", Boolean.toString(!arguments.text("mode", "idempotent").equals("plain")));
        if (transactional) {
            properties.put("transactional.id", arguments.text("transactional-id", "mix-" + arguments.text("seed", "1")));
        }
        for (String[] pair : arguments.pairs("client")) {
            properties.put(pair[0], pair[1]);
        }
        return properties;
    }

    private ProducerRecord<byte[], byte[]> record(String topic, long n) {
        int partition = random.nextInt(partitions);
        int kind = random.nextInt(20);
        byte[] key = random.nextInt(8) == 0 && !arguments.flag("always-keyed") ? null : ("key-" + random.nextInt(1000)).getBytes(StandardCharsets.UTF_8);
        byte[] value = kind == 0 && key != null ? null : value();
        // About a millisecond apart, but not in order.
        Long timestamp = firstTimestamp + n / 10 + random.nextInt(100);
        List<Header> headers = headers();
        if (arguments.flag("numbered")) {
            // No two records of a topic are alike then: producer and number.
            headers.add(new RecordHeader("number", ByteBuffer.allocate(16).putLong(arguments.number("seed", 1)).putLong(n).array()));
        }
        return new ProducerRecord<>(topic, partition, timestamp, key, value, headers);
    }

    private byte[] value() {
        int size = smallest + (largest > smallest ? random.nextInt(largest - smallest + 1) : 0);
        boolean compressible = switch (arguments.text("data", "mixed")) {
            case "random" -> false;
            case "text" -> true;
            default -> random.nextBoolean();
        };
        byte[] pool = compressible ? text : noise;
        byte[] value = new byte[size];
        for (int at = 0; at < size; ) {
            int from = random.nextInt(pool.length);
            int count = Math.min(size - at, pool.length - from);
            System.arraycopy(pool, from, value, at, count);
            at += count;
        }
        return value;
    }

    private List<Header> headers() {
        List<Header> headers = new ArrayList<>();
        switch (random.nextInt(6)) {
            case 0 -> {
                headers.add(new RecordHeader("trace", bytes("first")));
                headers.add(new RecordHeader("trace", bytes("second")));
                headers.add(new RecordHeader("", new byte[0]));
            }
            case 1 -> {
                headers.add(new RecordHeader("zebra", null));
                headers.add(new RecordHeader("aardvark", bytes("\u00e4\u20ac")));
            }
            default -> { }
        }
        return headers;
    }

    private byte[] text() {
        StringBuilder builder = new StringBuilder();
        while (builder.length() < 1 << 20) {
            builder.append(WORDS[random.nextInt(WORDS.length)]);
        }
        return bytes(builder.toString());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private void show() {
        StringBuilder line = new StringBuilder("acked");
        for (int partition = 0; partition < partitions; partition++) {
            line.append(' ').append(partition).append('=').append(acked.get(partition));
        }
        System.out.println(line);
    }

    private void watchInput() {
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (java.io.IOException gone) {
                // The same as its end.
            }
            ending = true;
        });
        watcher.setDaemon(true);
        watcher.start();
    }
}
