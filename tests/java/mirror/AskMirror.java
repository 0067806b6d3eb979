import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.mirror.MirrorClient;
import org.apache.kafka.connect.mirror.RemoteClusterUtils;

/** What MirrorMaker 2's own clients make of a cluster: each answer on a line. */
public final class AskMirror {
    public static void main(String[] args) throws Exception {
        Arguments arguments = new Arguments(args);
        Map<String, Object> properties = new HashMap<>();
        properties.put("bootstrap.servers", arguments.text("bootstrap", null));
        String source = arguments.text("source", null);
        try (MirrorClient client = new MirrorClient(properties)) {
            System.out.println("heartbeat topics " + new TreeSet<>(client.heartbeatTopics()));
            System.out.println("checkpoint topics " + new TreeSet<>(client.checkpointTopics()));
            System.out.println("remote topics " + new TreeSet<>(client.remoteTopics()));
            System.out.println("remote topics of the source " + new TreeSet<>(client.remoteTopics(source)));
            System.out.println("upstream clusters " + new TreeSet<>(client.upstreamClusters()));
            System.out.println("hops " + client.replicationHops(source));
        }
        for (String group : arguments.text("groups", null).split(",")) {
            Map<TopicPartition, OffsetAndMetadata> offsets =
                RemoteClusterUtils.translateOffsets(properties, source, group, Duration.ofSeconds(30));
            Map<String, Long> sorted = new TreeMap<>();
            offsets.forEach((partition, offset) -> sorted.put(partition.toString(), offset.offset()));
            System.out.println("group " + group + " " + sorted);
        }
    }

    private AskMirror() {}
}
