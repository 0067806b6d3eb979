import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * ACLs on topics, each as {@code PRINCIPAL TOPIC PATTERN OPERATION PERMISSION}, separated by commas. {@code --create} and {@code
 * --delete} them; then prints all there are, one a line.
 */
public final class Acls {
    public static void main(String[] words) throws Exception {
        Arguments arguments = new Arguments(words);
        Map<String, Object> properties = Map.of("bootstrap.servers", arguments.text("bootstrap", null));
        try (Admin admin = Admin.create(properties)) {
            admin.createAcls(bindings(arguments.text("create", ""))).all().get();
            List<AclBindingFilter> gone = new ArrayList<>();
            bindings(arguments.text("delete", "")).forEach(acl -> gone.add(acl.toFilter()));
            admin.deleteAcls(gone).all().get();
            TreeSet<String> all = new TreeSet<>();
            for (AclBinding acl : admin.describeAcls(AclBindingFilter.ANY).values().get()) {
                if (acl.pattern().resourceType() == ResourceType.TOPIC) {
                    AccessControlEntry entry = acl.entry();
                    all.add(String.join(" ", entry.principal(), acl.pattern().name(),
                        acl.pattern().patternType().name(), entry.operation().name(), entry.permissionType().name()));
                }
            }
            all.forEach(System.out::println);
        }
    }

    private static List<AclBinding> bindings(String text) {
        List<AclBinding> bindings = new ArrayList<>();
        for (String one : text.split(",")) {
            if (!one.isEmpty()) {
                String[] parts = one.split(" ");
                bindings.add(new AclBinding(
                    new ResourcePattern(ResourceType.TOPIC, parts[1], PatternType.valueOf(parts[2])),
                    new AccessControlEntry(parts[0], "*", AclOperation.valueOf(parts[3]), AclPermissionType.valueOf(parts[4]))));
            }
        }
        return bindings;
    }

    private Acls() {}
}
