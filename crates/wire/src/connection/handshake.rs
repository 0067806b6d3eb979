//! Version negotiation: ApiVersions (API key 18), the first request on every connection.
//!
//! Version 3 is tried first (KIP-511: it names the client software); a broker older than 2.4 answers
//! UNSUPPORTED_VERSION in the format of version 0, and is asked again in version 0.

use super::{Cause, Connection, ConnectionError};
use crate::messages::{self, ApiVersionsRequest, ApiVersionsResponse, StrBytes};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

pub(super) const API_VERSIONS_KEY: i16 = 18;
const UNSUPPORTED_VERSION: i16 = 35;

/// The versions of each API a broker offers.
#[derive(Debug, Default)]
pub struct ApiVersionRanges(HashMap<i16, RangeInclusive<i16>>);

impl ApiVersionRanges {
    /// What the broker offers of an API; `None` when it does not have it.
    pub fn range(&self, api_key: i16) -> Option<RangeInclusive<i16>> {
        self.0.get(&api_key).cloned()
    }
}

pub(super) async fn negotiate(connection: &Connection) -> Result<ApiVersionRanges, Arc<ConnectionError>> {
    let answer = match ask(connection, 3).await {
        Ok(answer) if answer.error_code == UNSUPPORTED_VERSION => ask(connection, 0).await?,
        other => other?,
    };
    if answer.error_code != 0 {
        return Err(connection.error(Cause::Handshake { error_code: answer.error_code }));
    }
    let ranges = answer.api_keys.iter().map(|api| (api.api_key, api.min_version..=api.max_version));
    Ok(ApiVersionRanges(ranges.collect()))
}

async fn ask(connection: &Connection, version: i16) -> Result<ApiVersionsResponse, Arc<ConnectionError>> {
    let request = if version >= 3 {
        ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("verbatim"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")))
    } else {
        ApiVersionsRequest::default()
    };
    let malformed = |error| connection.error(Cause::Message(error));
    let frame = messages::encode(&request, version, connection.client_id()).map_err(malformed)?;
    let answer = connection.exchange(frame, Duration::ZERO).await?;
    // The error stands first in every version, and with it the rest is in version 0.
    let refused = answer.starts_with(&UNSUPPORTED_VERSION.to_be_bytes());
    messages::decode_api_versions(&answer, if refused { 0 } else { version }).map_err(malformed)
}
