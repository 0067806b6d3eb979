//! Bootstrap addresses as users write them: `[tls://]host:port[,host:port...]`.

use std::fmt;
use std::str::FromStr;

/// The first brokers to try. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    is_tls: bool,
    addresses: Vec<(String, u16)>,
}

/// Addresses that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// Nothing there.
    #[error("no broker address given; write host:port")]
    Empty,
    /// An entry without a usable port.
    #[error("`{entry}` is not a broker address; write host:port, or [::1]:port for IPv6")]
    Entry {
        /// The entry.
        entry: String,
    },
    /// A scheme other than `tls://`.
    #[error("`{scheme}://` is not known; write tls://host:port for TLS, or host:port for plaintext")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
}

impl Bootstrap {
    /// Whether to speak TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Hosts and ports.
    pub fn addresses(&self) -> &[(String, u16)] {
        &self.addresses
    }
}

impl FromStr for Bootstrap {
    type Err = BootstrapError;

    fn from_str(text: &str) -> Result<Self, BootstrapError> {
        let (is_tls, list) = match text.split_once("://") {
            Some(("tls" | "ssl", list)) => (true, list),
            Some(("plaintext", list)) => (false, list),
            Some((scheme, _)) => return Err(BootstrapError::Scheme { scheme: scheme.to_owned() }),
            None => (false, text),
        };
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let addresses = entries.map(address).collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err(BootstrapError::Empty);
        }
        Ok(Self { is_tls, addresses })
    }
}

fn address(entry: &str) -> Result<(String, u16), BootstrapError> {
    let wrong = || BootstrapError::Entry { entry: entry.to_owned() };
    let (host, port) = entry.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_ambiguous = bare.is_none() && host.contains(':');
    let host = bare.unwrap_or(host);
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || is_ambiguous || port == 0 || host.contains(char::is_whitespace) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

impl fmt::Display for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_tls {
            f.write_str("tls://")?;
        }
        for (index, (host, port)) in self.addresses.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        for (text, printed) in [
            ("a:9092", "a:9092"),
            ("a:1, b:2,", "a:1,b:2"),
            ("tls://a:9093,b:9093", "tls://a:9093,b:9093"),
            ("plaintext://a:1", "a:1"),
            ("[::1]:9092", "[::1]:9092"),
        ] {
            assert_eq!(text.parse::<Bootstrap>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn wrong_addresses_are_named() {
        for text in
            ["", " , ", "a", "a:", ":9092", "a:x", "a:70000", "a:0", "::1:9092", "http://a:1", "a b:1"]
        {
            let error = text.parse::<Bootstrap>().unwrap_err().to_string();
            assert!(error.contains("host:port"), "{text}: {error}");
        }
    }
}
