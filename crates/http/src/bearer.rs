//! Bearer: which token does a request present, if exactly one?

use http::request::Parts;
use http::{Uri, header};

use hardtack::cause::Cause;
use hardtack::internal::MAX_TOKEN_BYTES;

/// The most bytes in a bearer: the largest token as base64, a third more than its bytes, with padding.
pub const MAX_BEARER_BYTES: usize = MAX_TOKEN_BYTES.div_ceil(3) * 4;

/// The parameters by which a token can stand in a query (RFC 6750, section 2.3, and common habits). It
/// would be written to every log on its way.
const QUERY_PARAMETERS: [&str; 3] = ["access_token", "token", "bearer"];

/// An error of [`bearer`]: a request presents no token, or not in the one way that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BearerError {
    /// The request has no token at all, or uses another scheme.
    #[error("send the token as: Authorization: Bearer …")]
    Missing,
    /// The request has more than one `Authorization` header, of which two readers could take different ones.
    #[error("there is more than one Authorization header; send one")]
    Repeated,
    /// The request has a token in the query.
    #[error(
        "there is a token in the query, where every log sees it; send it as: Authorization: Bearer …"
    )]
    InQuery,
    /// The bearer has more than [`MAX_BEARER_BYTES`].
    #[error("the bearer has more than {MAX_BEARER_BYTES} bytes")]
    TooLong,
    /// The text in the place of the token is none.
    #[error("the Authorization header has not the form: Bearer …")]
    Malformed,
}

impl BearerError {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        match self {
            BearerError::Missing => Cause::NoToken,
            BearerError::Repeated | BearerError::InQuery | BearerError::Malformed => {
                Cause::MalformedBearer
            }
            BearerError::TooLong => Cause::BearerTooLong,
        }
    }
}

/// Returns the bearer token of a request (RFC 6750, section 2.1). It is not verified.
///
/// # Errors
///
/// [`BearerError`] unless exactly one `Authorization: Bearer …` is there, and no token in the query.
pub fn bearer(request: &Parts) -> Result<&str, BearerError> {
    if names_a_token(&request.uri) {
        return Err(BearerError::InQuery);
    }
    let mut values = request.headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(BearerError::Missing)?;
    if values.next().is_some() {
        return Err(BearerError::Repeated);
    }
    let value = value.to_str().map_err(|_| BearerError::Malformed)?;
    let (scheme, token) = value.split_once(' ').ok_or(BearerError::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(BearerError::Missing);
    }
    match token.trim_matches(' ') {
        token if token.len() > MAX_BEARER_BYTES => Err(BearerError::TooLong),
        token if token.is_empty() || is_list(token) => Err(BearerError::Malformed),
        token => Ok(token),
    }
}

/// Whether more than one word stands in the place of the token. All of it is looked at, many bytes at a time: it has thousands.
fn is_list(token: &str) -> bool {
    token.bytes().fold(false, |found, byte| found | matches!(byte, b' ' | b',' | b'\t'))
}

fn names_a_token(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .any(|(name, _)| QUERY_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, authorizations: &[&str]) -> Parts {
        let request = authorizations.iter().fold(http::Request::get(uri), |request, value| {
            request.header(header::AUTHORIZATION, *value)
        });
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn exactly_one_bearer_is_taken() {
        let one = parts("/mcp", &["Bearer abc-_="]);
        assert_eq!(bearer(&one), Ok("abc-_="));
        assert_eq!(bearer(&parts("/mcp", &["bearer abc"])), Ok("abc"));
        let long = format!("Bearer {}", "a".repeat(MAX_BEARER_BYTES + 1));
        for (headers, expected) in [
            (vec![], BearerError::Missing),
            (vec!["Basic abc"], BearerError::Missing),
            (vec!["Bearer a", "Bearer a"], BearerError::Repeated),
            (vec!["Bearer"], BearerError::Malformed),
            (vec!["Bearer "], BearerError::Malformed),
            (vec!["Bearer a, Bearer b"], BearerError::Malformed),
            (vec![&long], BearerError::TooLong),
        ] {
            assert_eq!(bearer(&parts("/mcp", &headers)), Err(expected), "{headers:?}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_refused_even_beside_a_good_one() {
        for uri in ["/?access_token=x", "/?a=1&Access_Token=x", "/?%61ccess_token=x", "/?token"] {
            assert_eq!(bearer(&parts(uri, &["Bearer a"])), Err(BearerError::InQuery), "{uri}");
        }
        assert_eq!(bearer(&parts("/?page=2", &["Bearer a"])), Ok("a"));
    }

    #[test]
    fn every_parameter_that_names_a_token_is_known() {
        for name in ["access_token", "token", "bearer", "BEARER"] {
            let uri = format!("/?a=1&{name}=x");
            let found = bearer(&parts(&uri, &["Bearer a"])).err();
            assert_eq!(found, Some(BearerError::InQuery), "{name} in the query");
        }
    }

    #[test]
    fn a_bearer_is_one_word_of_bounded_length() {
        let longest = "a".repeat(MAX_BEARER_BYTES);
        assert_eq!(bearer(&parts("/", &[&format!("Bearer {longest}")])), Ok(longest.as_str()));
        let longer = format!("Bearer {longest}a");
        assert_eq!(bearer(&parts("/", &[&longer])), Err(BearerError::TooLong));
        for (value, why) in [
            ("Bearer a b", "a space"),
            ("Bearer a,b", "a comma"),
            ("Bearer a\tb", "a tab"),
            ("Bearer  ", "nothing"),
        ] {
            assert_eq!(bearer(&parts("/", &[value])), Err(BearerError::Malformed), "{why}");
        }
        assert_eq!(
            bearer(&parts("/", &["Bearer  a "])),
            Ok("a"),
            "spaces around it are none of it"
        );
    }
}
