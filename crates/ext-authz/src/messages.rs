//! Messages: what Envoy asks and is answered over gRPC, as far as it is read or written here.
//!
//! Numbers and types of fields are those of `envoy.service.auth.v3` and what it imports. Fields that are not here are left out when a
//! message is read, as protobuf has it.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the macro makes public methods, of messages that Envoy's pages document"
)]

use std::collections::HashMap;

use prost_14 as prost;

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct Attributes {
    #[prost(message, optional, tag = "4")]
    pub(crate) request: Option<AttributesRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct AttributesRequest {
    #[prost(message, optional, tag = "2")]
    pub(crate) http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct HttpRequest {
    #[prost(string, tag = "2")]
    pub(crate) method: String,
    #[prost(map = "string, string", tag = "3")]
    pub(crate) headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    pub(crate) path: String,
    #[prost(string, tag = "5")]
    pub(crate) host: String,
    #[prost(string, tag = "11")]
    pub(crate) body: String,
    #[prost(bytes = "vec", tag = "12")]
    pub(crate) raw_body: Vec<u8>,
    #[prost(message, optional, tag = "13")]
    pub(crate) header_map: Option<HeaderList>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct HeaderList {
    #[prost(message, repeated, tag = "1")]
    pub(crate) headers: Vec<Header>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct Header {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) raw_value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<Status>,
    #[prost(oneof = "Answer", tags = "2, 3")]
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[prost(prost_path = "::prost_14")]
pub(crate) enum Answer {
    #[prost(message, tag = "2")]
    Denied(Denied),
    #[prost(message, tag = "3")]
    Allowed(Allowed),
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct Denied {
    #[prost(message, optional, tag = "1")]
    pub(crate) status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<HeaderOption>,
    #[prost(string, tag = "3")]
    pub(crate) body: String,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct HttpStatus {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct Allowed {
    #[prost(message, repeated, tag = "2")]
    pub(crate) headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")]
    pub(crate) headers_to_remove: Vec<String>,
}

/// A header that overwrites what there is of its name: `append` is there and false.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    pub(crate) header: Option<Header>,
    #[prost(message, optional, tag = "2")]
    pub(crate) append: Option<BoolValue>,
    #[prost(bool, tag = "4")]
    pub(crate) keep_empty_value: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(prost_path = "::prost_14")]
pub(crate) struct BoolValue {
    #[prost(bool, tag = "1")]
    pub(crate) value: bool,
}
