import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Consumer groups of one member, one after the other, on a topic of one partition; {@code --groups NAME=OFFSET,...} names them.
 *
 * <p>With {@code --commit} a group reads from the start until it has read OFFSET or what comes next, commits, and prints
 * {@code committed NAME OFFSET}. Without, it goes on from what is committed for it (OFFSET does not matter) and prints
 * {@code resumed NAME} and the first record it reads, as {@link ConsumeAll} prints it.
 */
public final class ReadInGroups {
    public static void main(String[] words) throws Exception {
        Arguments arguments = new Arguments(words, "commit");
        for (String[] group : arguments.pairs("groups")) {
            read(arguments, group[0], Long.parseLong(group[1]));
        }
    }

    private static void read(Arguments arguments, String group, long wanted) {
        boolean commits = arguments.flag("commit");
        String topic = arguments.text("topic", null);
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments.text("bootstrap", null));
        properties.put("group.id", group);
        properties.put("group.protocol", arguments.text("protocol", "classic"));
        properties.put("isolation.level", "read_committed");
        properties.put("enable.auto.commit", "false");
        // What is committed has to be there and to be valid: nothing is made up for it.
        properties.put("auto.offset.reset", commits ? "earliest" : "none");
        properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
        properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
        long patience = arguments.number("patience-ms", 60_000) * 1_000_000;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
            consumer.subscribe(List.of(topic));
            for (long start = System.nanoTime(); System.nanoTime() - start < patience; ) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    if (!commits) {
                        System.out.println("resumed " + group + " " + ConsumeAll.line(record));
                        return;
                    }
                    if (record.offset() >= wanted) {
                        OffsetAndMetadata next = new OffsetAndMetadata(record.offset() + 1);
                        consumer.commitSync(Map.of(new TopicPartition(topic, record.partition()), next));
                        System.out.println("committed " + group + " " + next.offset());
                        return;
                    }
                }
            }
        }
        throw new IllegalStateException("group " + group + ": no record in time");
    }
}
