//! One client connection: requests are answered one at a time and in order, as Kafka does it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::decode_request_header_from_buffer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, BufReader};

use crate::api::{self, Answer, Call};
use crate::cluster::core::Core;
use crate::network::frame::read_frame;

/// Smallest request header that can be looked at without risk: key, version, correlation id.
const MIN_HEADER_BYTES: usize = 8;
/// The size field in front of every frame.
const SIZE_BYTES: usize = 4;
/// Read buffer for sizes and small requests; large payloads bypass it.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// Serves a connection until the client goes, sends nonsense, or a fault ends it.
pub(crate) async fn serve<S>(stream: S, core: Arc<Core>, node: i32, client_host: String)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let connection = core.next_connection();
    let mut stream = BufReader::with_capacity(READ_BUFFER_BYTES, stream);
    while let Ok(Some(mut frame)) = read_frame(&mut stream).await {
        let received_bytes = SIZE_BYTES + frame.len();
        let Some(call) = parse_call(&mut frame, &core, node, connection, &client_host) else {
            return;
        };
        let key = call.key;
        core.traffics().received(key, received_bytes);
        match api::answer(call, frame).await {
            Answer::Reply { frame, cut, mute } => {
                core.traffics().sent(key, SIZE_BYTES + frame.len());
                if frame.write(stream.get_mut(), cut).await.is_err() || cut.is_some() {
                    return;
                }
                if mute > Duration::ZERO {
                    tokio::time::sleep(mute).await;
                }
            }
            Answer::Nothing => {}
            Answer::Close => return,
            Answer::Silence => return drain(stream).await,
        }
    }
}

/// Reads the request header; `None` closes the connection.
fn parse_call(
    frame: &mut Bytes,
    core: &Arc<Core>,
    node: i32,
    connection: u64,
    client_host: &str,
) -> Option<Call> {
    if frame.len() < MIN_HEADER_BYTES {
        return None;
    }
    let header = decode_request_header_from_buffer(frame).ok()?;
    Some(Call {
        core: Arc::clone(core),
        node,
        key: kafka_protocol::messages::ApiKey::try_from(header.request_api_key).ok()?,
        version: header.request_api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.unwrap_or_default(),
        client_host: client_host.to_owned(),
        connection,
        refused: None,
    })
}

/// Keeps the connection open and answers nothing more.
async fn drain<S: AsyncRead + Unpin>(mut stream: S) {
    let mut sink = [0; 4096];
    while matches!(stream.read(&mut sink).await, Ok(count) if count > 0) {}
}
