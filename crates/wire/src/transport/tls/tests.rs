//! Against rustls' own server, over a pipe whose capacity says into how small pieces bytes are torn.

use super::super::low_water::LowWater;
use super::*;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::io::{ErrorKind, IoSlice, Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// A connector that trusts an authority, and a server with a key that it signed.
struct Trust {
    connector: TlsConnector,
    server: ServerConfig,
}

impl Trust {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self::named("authority", version)
    }

    fn named(name: &str, version: &'static SupportedProtocolVersion) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["broker".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Self { connector: TlsConnector::trusting(TcpConfig::default(), roots).unwrap(), server }
    }

    fn accept(&self) -> ServerConnection {
        let mut server = ServerConnection::new(Arc::new(self.server.clone())).unwrap();
        server.set_buffer_limit(None);
        server
    }

    /// Both ends after the handshake, over a pipe of `capacity` bytes.
    async fn connected(&self, capacity: usize) -> (TlsStream<DuplexStream>, Peer) {
        let (ours, theirs) = duplex(capacity);
        let mut peer = Peer { tls: self.accept(), socket: theirs, heard: Vec::new() };
        let (stream, ()) = tokio::join!(self.connector.secure("broker", ours), peer.handshake());
        (stream.unwrap(), peer)
    }
}

/// The server's end.
struct Peer<S = DuplexStream> {
    tls: ServerConnection,
    socket: S,
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    async fn handshake(&mut self) {
        while self.tls.is_handshaking() {
            self.flush().await;
            if self.tls.is_handshaking() {
                self.receive().await.unwrap();
            }
        }
        self.flush().await;
    }

    async fn flush(&mut self) {
        let bytes = said(&mut self.tls);
        self.socket.write_all(&bytes).await.unwrap();
    }

    async fn receive(&mut self) -> Result<usize, rustls::Error> {
        let mut bytes = [0; 5_000];
        let len = self.socket.read(&mut bytes).await.unwrap();
        self.heard.extend(hear(&mut self.tls, &bytes[..len])?);
        Ok(len)
    }

    /// The first `split` bytes, and the others when the reader has had a look.
    async fn in_pieces(&mut self, bytes: &[u8], split: usize) {
        let (first, second) = bytes.split_at(split.min(bytes.len()));
        for piece in [first, second] {
            self.socket.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
        self.flush().await;
    }

    async fn expect(&mut self, expected: &[u8]) {
        while self.heard.len() < expected.len() {
            assert!(self.receive().await.unwrap() > 0);
        }
        assert!(std::mem::take(&mut self.heard) == expected);
    }
}

/// What the server has to send.
fn said(server: &mut ServerConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// What the server makes of `bytes`.
fn hear(server: &mut ServerConnection, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let mut heard = Vec::new();
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets()?;
        let ended = server.reader().read_to_end(&mut heard);
        assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    }
    Ok(heard)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn both_versions_through_pipes_of_any_width() {
    for version in [&TLS12, &TLS13] {
        let mut trust = Trust::new(version);
        // Sent when nobody reads yet, they would not fit into the narrow pipes.
        trust.server.send_tls13_tickets = 0;
        for (capacity, len) in [(100, 3_000), (4_096, 300_000), (1 << 20, 3_000_000)] {
            let (mut stream, mut peer) = trust.connected(capacity).await;
            let sent = pattern(len);
            for _ in 0..2 {
                let write = async {
                    stream.write_all(&sent).await.unwrap();
                    stream.flush().await.unwrap();
                };
                tokio::join!(write, peer.expect(&sent));
                let mut read = vec![0; len];
                let (result, ()) = tokio::join!(stream.read_exact(&mut read), peer.send(&sent));
                result.unwrap();
                assert!(read == sent);
            }
        }
    }
}

#[tokio::test]
async fn a_handshake_torn_anywhere() {
    for version in [&TLS12, &TLS13] {
        let mut trust = Trust::new(version);
        // Handshake messages in several records each, and records with several messages.
        for max_fragment_size in [None, Some(200)] {
            trust.server.max_fragment_size = max_fragment_size;
            let (mut split, mut longest) = (0, 1);
            while split < longest {
                let (ours, theirs) = duplex(1 << 20);
                let mut peer = Peer { tls: trust.accept(), socket: theirs, heard: Vec::new() };
                let shaken = async {
                    while peer.tls.is_handshaking() {
                        peer.receive().await.unwrap();
                        let flight = said(&mut peer.tls);
                        longest = longest.max(flight.len());
                        peer.in_pieces(&flight, split).await;
                    }
                };
                let (stream, ()) = tokio::join!(trust.connector.secure("broker", ours), shaken);
                let mut stream = stream.unwrap();
                stream.write_all(b"hello").await.unwrap();
                peer.expect(b"hello").await;
                split += 1;
            }
        }
    }
}

#[tokio::test]
async fn records_torn_and_joined() {
    for version in [&TLS12, &TLS13] {
        let trust = Trust::new(version);
        for piece in [1, 5, 6, 100, 16_384, 16_406, 16_407, 16_413, 50_000, 1 << 20] {
            let (mut stream, mut peer) = trust.connected(1 << 20).await;
            let sent = pattern(100_000);
            let (mut wire, mut rest) = (Vec::new(), &sent[..]);
            for len in [1, 50, 20_000, 3, 40_000, 300].into_iter().cycle() {
                let (record, behind) = rest.split_at(len.min(rest.len()));
                peer.tls.writer().write_all(record).unwrap();
                wire.extend(said(&mut peer.tls));
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            // The first records byte by byte, the others in larger pieces.
            let write = async {
                for bytes in wire.chunks(piece).take(2_000) {
                    peer.in_pieces(bytes, 0).await;
                }
                let all_of_it = wire.len().min(piece * 2_000);
                peer.in_pieces(&wire[all_of_it..], 0).await;
            };
            let mut read = vec![0; sent.len()];
            let (result, ()) = tokio::join!(stream.read_exact(&mut read), write);
            result.unwrap();
            assert!(read == sent, "{piece}");
        }
    }
}

#[tokio::test]
async fn writes_of_many_slices() {
    for version in [&TLS12, &TLS13] {
        let (mut stream, mut peer) = Trust::new(version).connected(10_000).await;
        let sent = pattern(700_000);
        let (mut rest, mut slices) = (&sent[..], Vec::new());
        for len in [12, 0, 61, 65_536, 61, 1, 16_384, 16_385, 61, 300_000].into_iter().cycle() {
            let (slice, behind) = rest.split_at(len.min(rest.len()));
            slices.push(IoSlice::new(slice));
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let write = async {
            let mut slices = &mut slices[..];
            while !slices.is_empty() {
                let taken = stream.write_vectored(slices).await.unwrap();
                assert!(taken > 0);
                IoSlice::advance_slices(&mut slices, taken);
            }
            stream.flush().await.unwrap();
        };
        tokio::join!(write, peer.expect(&sent));
    }
}

#[tokio::test]
async fn a_peer_that_closes() {
    let trust = Trust::new(&TLS13);
    let mut read = Vec::new();
    // In order.
    let (mut stream, mut peer) = trust.connected(1 << 20).await;
    peer.tls.writer().write_all(b"bye").unwrap();
    peer.tls.send_close_notify();
    peer.flush().await;
    assert_eq!(stream.read_to_end(&mut read).await.unwrap(), 3);
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
    // What is under way to it may still be written, and then our own end.
    stream.write_all(b"bye yourself").await.unwrap();
    stream.shutdown().await.unwrap();
    peer.expect(b"bye yourself").await;
    assert!(peer.tls.process_new_packets().unwrap().peer_has_closed());
    // Without a word, and in the middle of a record.
    for cut in [0, 100] {
        let (mut stream, mut peer) = trust.connected(1 << 20).await;
        peer.tls.writer().write_all(&pattern(1_000)).unwrap();
        let bytes = said(&mut peer.tls);
        peer.socket.write_all(&bytes[..bytes.len() - cut]).await.unwrap();
        drop(peer);
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).await.unwrap_err();
        assert_eq!((error.kind(), read.len()), (ErrorKind::UnexpectedEof, if cut == 0 { 1_000 } else { 0 }));
    }
}

#[tokio::test]
async fn damage_and_alerts() {
    for version in [&TLS12, &TLS13] {
        let trust = Trust::new(version);
        // What the peer sent was changed on the way: we refuse it, and say so.
        let (mut stream, mut peer) = trust.connected(1 << 20).await;
        peer.tls.writer().write_all(&pattern(1_000)).unwrap();
        let mut bytes = said(&mut peer.tls);
        *bytes.last_mut().unwrap() ^= 1;
        peer.socket.write_all(&bytes).await.unwrap();
        let error = stream.read(&mut [0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(error.to_string(), "cannot decrypt peer's message");
        assert_eq!(peer.receive().await.unwrap_err().to_string(), "received fatal alert: BadRecordMac");
        // What we sent was changed: the peer's alert is our error.
        let (mut stream, mut peer) = trust.connected(1 << 20).await;
        stream.write_all(b"hello").await.unwrap();
        let mut bytes = vec![0; 1_000];
        let len = peer.socket.read(&mut bytes).await.unwrap();
        bytes[len - 1] ^= 1;
        assert!(hear(&mut peer.tls, &bytes[..len]).is_err());
        peer.flush().await;
        let error = stream.read(&mut [0; 100]).await.unwrap_err();
        assert_eq!(error.to_string(), "received fatal alert: BadRecordMac");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_acceptable() {
    // Signed by somebody else; the peer hears why.
    let (trust, stranger) = (Trust::new(&TLS13), Trust::named("stranger", &TLS13));
    let (ours, theirs) = duplex(1 << 20);
    let mut peer = Peer { tls: stranger.accept(), socket: theirs, heard: Vec::new() };
    let (refused, alert) = tokio::join!(trust.connector.secure("broker", ours), async {
        peer.receive().await.unwrap();
        peer.flush().await;
        loop {
            if let Err(error) = peer.receive().await {
                break error;
            }
        }
    });
    let error = refused.map(drop).unwrap_err();
    assert_eq!(error.to_string(), "TLS handshake failed: invalid peer certificate: UnknownIssuer");
    assert!(alert.to_string().contains("UnknownCA"), "{alert}");
    // No TLS at all, and nothing at all.
    let corrupt = "received corrupt message of type InvalidContentType";
    let closed = "is this a plaintext listener? (then leave out tls://)";
    for (answer, words) in [(&b"HTTP/1.1 400 Bad Request\r\n"[..], corrupt), (b"", closed)] {
        let (ours, mut theirs) = duplex(1 << 20);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let error = trust.connector.secure("broker", ours).await.map(drop).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn new_keys_meanwhile() {
    let (mut stream, mut peer) = Trust::new(&TLS13).connected(1 << 20).await;
    for round in 0..5 {
        peer.tls.refresh_traffic_keys().unwrap();
        peer.send(&pattern(round * 10_000 + 1)).await;
        let mut read = vec![0; round * 10_000 + 1];
        stream.read_exact(&mut read).await.unwrap();
        assert!(read == pattern(read.len()));
        // Our own new key, which was asked for, goes before this.
        stream.write_all(b"next").await.unwrap();
        peer.expect(b"next").await;
    }
}

#[tokio::test]
async fn sessions_are_resumed() {
    for version in [&TLS12, &TLS13] {
        let mut trust = Trust::new(version);
        trust.server.session_storage = rustls::server::ServerSessionMemoryCache::new(8);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let (mut stream, mut peer) = trust.connected(1 << 20).await;
            peer.send(b"x").await;
            // The tickets of TLS 1.3 come before it.
            stream.read_exact(&mut [0]).await.unwrap();
            kinds.push(peer.tls.handshake_kind().unwrap());
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
    }
}

/// Answers of all sizes, torn anywhere, each sent when the one before it has been read: were more waited for than is still to come,
/// nothing else would ever wake the reader.
#[tokio::test]
async fn no_answer_is_waited_for_in_vain() {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
    for (version, max_fragment_size) in [(&TLS12, None), (&TLS13, None), (&TLS13, Some(200))] {
        let mut trust = Trust::new(version);
        trust.server.max_fragment_size = max_fragment_size;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        theirs.set_nodelay(true).unwrap();
        let mut peer = Peer { tls: trust.accept(), socket: theirs, heard: Vec::new() };
        let stream = trust.connector.secure("broker", LowWater::new(ours));
        let (stream, ()) = tokio::join!(stream, peer.handshake());
        let mut stream = stream.unwrap();
        let due = stream.get_ref().0.due();
        for len in (1..80).map(|step| step * 5_003).chain([1 << 20, 65_536, 131_072, 262_144]) {
            let sent = pattern(len);
            peer.tls.writer().write_all(&sent).unwrap();
            let wire = said(&mut peer.tls);
            let write = async {
                for piece in wire.chunks(7_001) {
                    peer.in_pieces(piece, 0).await;
                }
            };
            let read = async {
                let (mut bytes, mut have) = (vec![0; len], 0);
                while have < len {
                    due.set(len - have);
                    have += stream.read(&mut bytes[have..]).await.unwrap();
                }
                due.set(0);
                bytes
            };
            let both = tokio::time::timeout(PATIENCE, async { tokio::join!(read, write) }).await;
            let (bytes, ()) = both.unwrap_or_else(|_| panic!("waited in vain for {len} bytes"));
            assert!(bytes == sent);
        }
    }
}
