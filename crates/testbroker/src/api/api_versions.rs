//! ApiVersions, key 18, versions 0 to 4.
//!
//! * A version above ours is answered in version 0 with `UNSUPPORTED_VERSION` and the list (KIP-511).
//! * Produce is advertised from version 0 although 0 to 2 are refused, as Kafka 4 does.
//! * 3+: the finalized feature `transaction.version` is 2, unless the offered EndTxn is too old for it.

use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::{Api, Call};
use crate::error::ErrorCode;

/// First EndTxn version of transactions version 2 (KIP-890).
const TRANSACTIONS_V2_END_TXN: i16 = 5;

pub(crate) struct ApiVersions;

impl Api for ApiVersions {
    type Request = ApiVersionsRequest;
    type Response = ApiVersionsResponse;

    async fn answer(call: &Call, _: ApiVersionsRequest) -> ApiVersionsResponse {
        let mut response = list(call);
        let end_txn = call.core.state().versions.range(ApiKey::EndTxn);
        if call.version >= 3 && end_txn.is_some_and(|range| range.contains(&TRANSACTIONS_V2_END_TXN)) {
            let name = StrBytes::from_static_str("transaction.version");
            response.finalized_features_epoch = 1;
            response.finalized_features = vec![
                FinalizedFeatureKey::default()
                    .with_name(name.clone())
                    .with_max_version_level(2)
                    .with_min_version_level(2),
            ];
            response.supported_features =
                vec![SupportedFeatureKey::default().with_name(name).with_max_version(2)];
        }
        response
    }

    fn refuse(_: &ApiVersionsRequest, _: i16, code: ErrorCode) -> ApiVersionsResponse {
        ApiVersionsResponse::default().with_error_code(code.0)
    }
}

/// The answer to a version that is not offered.
pub(crate) fn unsupported(call: &Call) -> ApiVersionsResponse {
    list(call).with_error_code(ErrorCode::UNSUPPORTED_VERSION.0)
}

fn list(call: &Call) -> ApiVersionsResponse {
    let state = call.core.state();
    let api_keys = state
        .versions
        .offered()
        .map(|(key, range)| {
            let min = if key == ApiKey::Produce { 0 } else { *range.start() };
            ApiVersion::default()
                .with_api_key(key as i16)
                .with_min_version(min)
                .with_max_version(*range.end())
        })
        .collect();
    ApiVersionsResponse::default().with_api_keys(api_keys)
}
