//! Keys of MirrorMaker 2 that it knows and that mean nothing here, and why. A key that would change which data leaves, or under which
//! name, is refused; one that only costs time or concerns Connect's own working is named.

/// What becomes of the end of a key that has not been used.
pub(super) enum Effect {
    /// It changes what is copied, which is not done here.
    Refused(&'static str),
    /// MirrorMaker 2 knows it, and it means nothing here.
    None(&'static str),
    /// Not even MirrorMaker 2 knows it.
    Unknown,
}

/// Beginnings of keys (behind `A->B.` or `A.`), the first that fits.
const WITHOUT: &[(&str, &str)] = &[
    ("tasks.max", "partitions are not dealt out to tasks"),
    ("task", "there are no Connect tasks"),
    ("worker", "there are no Connect workers"),
    ("offset.storage", "positions are kept with the offset map, in topic __verbatim.NAME on the target"),
    ("config.storage", "there are no Connect workers"),
    ("status.storage", "there are no Connect workers"),
    ("offset.flush", "positions are kept with the offset map, in topic __verbatim.NAME on the target"),
    ("offset.lag.max", "offsets are mapped exactly"),
    ("exactly.once", "every record is copied exactly once in any case"),
    ("transaction.boundary", "every record is copied exactly once in any case"),
    ("key.converter", "records are not converted"),
    ("value.converter", "records are not converted"),
    ("header.converter", "records are not converted"),
    ("transforms.", "no transforms are listed in `transforms`"),
    ("transforms", "none are listed"),
    ("predicates", "none are listed"),
    ("errors.", "a partition that cannot go on stops and says why; the others go on"),
    ("topic.creation", "topics are created as they are on the source"),
    ("admin.timeout.ms", "requests have limits of their own"),
    ("consumer.poll.timeout.ms", "nothing is polled"),
    ("refresh.groups", "groups are looked at with each sync"),
    ("forwarding.admin.class", "Java classes are not run"),
    ("metric.reporters", "Java classes are not run"),
    ("metrics.", "Java classes are not run"),
    ("dedicated.mode", "instances of a flow need no connection to each other"),
    ("listeners", "instances of a flow need no connection to each other"),
    ("rest.", "instances of a flow need no connection to each other"),
    ("access.control", "there is no REST server"),
    ("response.http", "there is no REST server"),
    ("ssl.client.auth", "there is no REST server"),
    ("plugin.", "Java classes are not run"),
    ("connector.class", "there are no connectors"),
    ("config.action.reload", "there are no connectors"),
    ("group.id", "there is no worker group"),
    ("scheduled.rebalance", "there is no worker group"),
    ("session.timeout", "there is no worker group"),
    ("use.incremental.alter.configs", "configs are always altered one by one"),
    ("add.source.alias.to.metrics", "metrics always name the source"),
    ("auto.include.jmx.reporter", "there is no JMX"),
    ("producer", "the product has settings of its own; batches are forwarded as they are"),
    ("consumer", "the product has settings of its own"),
    ("admin", "the product has settings of its own"),
    ("source.", "the product has settings of its own"),
    ("target.", "the product has settings of its own"),
    ("client.id", "connections are named after the product"),
    ("sasl.", "SASL is not used where security.protocol does not say so"),
    ("ssl.", "TLS takes its settings from ssl.truststore.location with ssl.truststore.type=PEM alone"),
];

/// Keys that change what is copied, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    (
        "transforms",
        "records are not changed here, so what these transforms filter, mask or rename would reach the target as it is. Leave the key out if \
         that is right; topics are chosen with topics and topics.exclude, and renamed in TOML (`verbatim convert`) with rename = { \"old\" = \
         \"new\" } or naming",
    ),
    (
        "predicates",
        "records are not changed here, so what transforms with these predicates filter, mask or rename would reach the target as it is. Leave \
         the key out if that is right",
    ),
    ("key.converter", CONVERTER),
    ("value.converter", CONVERTER),
    ("header.converter", CONVERTER),
    (
        "interceptor.classes",
        "Java classes are not run, so records would be copied without what these interceptors do to them. Leave the key out if that is right",
    ),
];
const CONVERTER: &str = "records are copied byte for byte, as by ByteArrayConverter, and not converted. Leave the key out if that is right";

/// Values with which such a key changes nothing.
fn changes_nothing(value: &str) -> bool {
    let class = value.trim().rsplit('.').next().unwrap_or_default();
    class.is_empty() || class == "ByteArrayConverter"
}

/// What the key `key` with the value `value` means, without its beginning `A->B.` or `A.`.
pub(super) fn of(key: &str, value: &str) -> Effect {
    let is_of_client = |end: &str| end == "interceptor.classes" && key.ends_with(end);
    let refused = REFUSED.iter().find(|(end, _)| key == *end || is_of_client(end));
    if let Some((_, why)) = refused.filter(|_| !changes_nothing(value)) {
        return Effect::Refused(why);
    }
    WITHOUT
        .iter()
        .find(|(beginning, _)| key.starts_with(beginning))
        .map_or(Effect::Unknown, |(_, why)| Effect::None(why))
}
