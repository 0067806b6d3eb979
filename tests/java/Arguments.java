import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A command line of {@code --name value} pairs and {@code --flag}s. */
final class Arguments {
    private final Map<String, String> values = new HashMap<>();

    Arguments(String[] words, String... flags) {
        List<String> known = List.of(flags);
        for (int i = 0; i < words.length; i++) {
            String name = words[i];
            if (!name.startsWith("--")) {
                throw new IllegalArgumentException("not understood: " + name);
            }
            boolean flag = known.contains(name.substring(2));
            values.put(name.substring(2), flag ? "true" : words[++i]);
        }
    }

    String text(String name, String otherwise) {
        String value = values.getOrDefault(name, otherwise);
        if (value == null) {
            throw new IllegalArgumentException("--" + name + " is missing");
        }
        return value;
    }

    long number(String name, long otherwise) {
        return Long.parseLong(text(name, Long.toString(otherwise)));
    }

    boolean flag(String name) {
        return values.containsKey(name);
    }

    /** {@code a=b} pairs separated by commas, for client settings. */
    List<String[]> pairs(String name) {
        List<String[]> pairs = new ArrayList<>();
        for (String pair : text(name, "").split(",")) {
            if (!pair.isEmpty()) {
                pairs.add(pair.split("=", 2));
            }
        }
        return pairs;
    }
}
