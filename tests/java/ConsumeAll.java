import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads a topic from its start to its present end as an application would, CRCs checked, and prints for each partition
 * {@code partition P records N sha256 HEX first-offset F last-offset L}. The hash covers every field an application sees but the
 * offset: timestamp and its type, key, value, and the headers in order.
 *
 * <p>With {@code --each-record} a line {@code record P OFFSET TIMESTAMP SHA256 KEY VALUE-BYTES NUMBER} for every record comes first:
 * the first 16 bytes of the hash of that record alone, the first 8 of its key's ({@code -}: none), the length of its value
 * ({@code -}: a tombstone) and what its header {@code number} holds ({@code -}: none).
 */
public final class ConsumeAll {
    private static final class Sum {
        final MessageDigest digest = sha256();
        long records;
        long first = -1;
        long last = -1;
    }

    public static void main(String[] words) throws Exception {
        Arguments arguments = new Arguments(words, "each-record");
        PrintStream out =
            new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), 1 << 16), false);
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments.text("bootstrap", null));
        properties.put("isolation.level", arguments.text("isolation", "read_uncommitted"));
        properties.put("check.crcs", "true");
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "none");
        properties.put("max.partition.fetch.bytes", Integer.toString(8 << 20));
        properties.put("fetch.max.bytes", Integer.toString(32 << 20));
        properties.put("max.poll.records", "10000");
        properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
        for (String[] pair : arguments.pairs("client")) {
            properties.put(pair[0], pair[1]);
        }
        long patience = arguments.number("patience-ms", 60_000);
        String topic = arguments.text("topic", null);
        boolean eachRecord = arguments.flag("each-record");

        Map<Integer, Sum> sums = new TreeMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
            List<TopicPartition> partitions = new ArrayList<>();
            consumer.partitionsFor(topic).forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
            partitions.forEach(partition -> sums.put(partition.partition(), new Sum()));
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            long lastProgress = System.nanoTime();
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    if (record.offset() < ends.get(new TopicPartition(topic, record.partition()))) {
                        add(sums.get(record.partition()), record);
                        if (eachRecord) {
                            out.println("record " + line(record));
                        }
                    }
                }
                if (!records.isEmpty()) {
                    lastProgress = System.nanoTime();
                } else if (System.nanoTime() - lastProgress > patience * 1_000_000) {
                    throw new IllegalStateException("no records for " + patience + " ms before the end");
                }
            }
        }
        sums.forEach((partition, sum) -> out.println(
            "partition " + partition + " records " + sum.records
                + " sha256 " + HexFormat.of().formatHex(sum.digest.digest())
                + " first-offset " + sum.first + " last-offset " + sum.last));
        out.flush();
    }

    /** {@code P OFFSET TIMESTAMP SHA256 KEY VALUE-BYTES NUMBER}. */
    static String line(ConsumerRecord<byte[], byte[]> record) {
        MessageDigest whole = sha256();
        digest(whole, record);
        String key = record.key() == null ? "-" : HexFormat.of().formatHex(sha256().digest(record.key()), 0, 8);
        String length = record.value() == null ? "-" : Integer.toString(record.value().length);
        Header number = record.headers().lastHeader("number");
        return record.partition() + " " + record.offset() + " " + record.timestamp()
            + " " + HexFormat.of().formatHex(whole.digest(), 0, 16) + " " + key + " " + length
            + " " + (number == null ? "-" : HexFormat.of().formatHex(number.value()));
    }

    private static void add(Sum sum, ConsumerRecord<byte[], byte[]> record) {
        sum.records++;
        sum.first = sum.first < 0 ? record.offset() : sum.first;
        sum.last = record.offset();
        digest(sum.digest, record);
    }

    private static void digest(MessageDigest digest, ConsumerRecord<byte[], byte[]> record) {
        ByteBuffer times = ByteBuffer.allocate(12);
        times.putLong(record.timestamp()).putInt(record.timestampType().id);
        digest.update(times.array());
        field(digest, record.key());
        field(digest, record.value());
        for (Header header : record.headers()) {
            field(digest, header.key().getBytes(StandardCharsets.UTF_8));
            field(digest, header.value());
        }
        // Ends the headers: no field has this length.
        digest.update(new byte[] {(byte) 0x80, 0, 0, 0});
    }

    /** Length and content, so that no two different sequences of fields hash alike; null has length -1. */
    private static void field(MessageDigest digest, byte[] content) {
        int length = content == null ? -1 : content.length;
        digest.update(new byte[] {(byte) (length >> 24), (byte) (length >> 16), (byte) (length >> 8), (byte) length});
        if (content != null) {
            digest.update(content);
        }
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (java.security.NoSuchAlgorithmException absent) {
            throw new IllegalStateException(absent);
        }
    }
}
