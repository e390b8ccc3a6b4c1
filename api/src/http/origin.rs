//! Where a request comes from: the host that it names and, from a browser, the page that sent it.
//!
//! Names of hosts are checked so that a page elsewhere cannot point a name of its own at this server. Other origins are
//! never answered with permission (there is no CORS), and what changes something must come from our own pages.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use super::problem::Problem;
use crate::code::Code;

/// A browser cannot send this header across origins without asking first, and is never allowed to.
pub const CSRF_HEADER: &str = "x-reprise-csrf";

/// Addresses under which people reach this server, beside plain IP addresses and `localhost`.
#[derive(Debug, Clone, Default)]
pub struct PublicOrigins(Vec<String>);

impl PublicOrigins {
    /// Origins such as `https://reprise.example.org`.
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        Self(origins.into_iter().map(|origin| origin.trim_end_matches('/').to_lowercase()).collect())
    }

    /// Refuses a host that is none of ours.
    pub fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(authority) = authority(uri, headers) else {
            return Err(Problem::new(StatusCode::BAD_REQUEST, Code::HostMissing, "the request names no host"));
        };
        let host = host_of(&authority);
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_public = self.0.iter().any(|origin| authority_of(origin).is_some_and(|ours| host_of(ours) == host));
        if is_address || host == "localhost" || is_public {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            Code::HostNotAllowed,
            "this server does not answer under that name; set it as a public origin if it should",
        ))
    }

    /// Refuses what a page of somebody else sent.
    pub fn check_page(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let refused = || {
            Problem::new(
                StatusCode::FORBIDDEN,
                Code::CrossOrigin,
                "this came from a page of another origin, which may not act here",
            )
        };
        let origin = match headers.get(header::ORIGIN) {
            Some(origin) => Some(origin.to_str().map_err(|_| refused())?.to_lowercase()),
            None => None,
        };
        if origin.as_ref().is_some_and(|origin| self.0.contains(origin)) {
            return Ok(());
        }
        let site = headers.get("sec-fetch-site").map(|site| site.to_str().unwrap_or("cross-site"));
        if !matches!(site, None | Some("same-origin" | "none")) {
            return Err(refused());
        }
        match origin {
            None => Ok(()),
            Some(origin) => {
                let ours = authority(uri, headers);
                let same = ours.is_some() && authority_of(&origin) == ours.as_deref();
                if same { Ok(()) } else { Err(refused()) }
            }
        }
    }
}

/// Whether a method changes nothing by itself.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses what carries a cookie without the header that only our own pages and programs can set.
pub fn check_csrf_header(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(CSRF_HEADER).is_some_and(|value| value == "1") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        Code::CsrfHeaderMissing,
        "requests with a session cookie need the header `x-reprise-csrf: 1`",
    ))
}

fn authority(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))?;
    Some(named.to_lowercase())
}

fn authority_of(origin: &str) -> Option<&str> {
    origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).filter(|rest| !rest.contains('/'))
}

/// The host without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn origins() -> PublicOrigins {
        PublicOrigins::new(["https://Reprise.example.org/".to_owned()])
    }

    #[test]
    fn hosts_of_others_are_refused() {
        let uri = Uri::from_static("/graphql");
        for host in ["127.0.0.1:8080", "localhost:8080", "localhost", "[::1]:8080", "10.1.2.3", "reprise.example.org"] {
            assert_eq!(origins().check_host(&uri, &headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8080", "reprise.example.org.evil.example", ""] {
            let problem = origins().check_host(&uri, &headers(&[("host", host)])).unwrap_err();
            assert_eq!(problem.code, Code::HostNotAllowed.code(), "{host}");
        }
        assert_eq!(origins().check_host(&uri, &headers(&[])).unwrap_err().code, Code::HostMissing.code());
    }

    #[test]
    fn pages_of_others_are_refused() {
        let uri = Uri::from_static("/graphql");
        let with = |pairs: &[(&'static str, &'static str)]| {
            let mut all = headers(&[("host", "localhost:8080")]);
            all.extend(headers(pairs));
            origins().check_page(&uri, &all).is_ok()
        };
        assert!(with(&[]));
        assert!(with(&[("origin", "http://localhost:8080")]));
        assert!(with(&[("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]));
        assert!(with(&[("origin", "https://reprise.example.org"), ("sec-fetch-site", "cross-site")]));
        assert!(!with(&[("origin", "http://localhost:9090")]));
        assert!(!with(&[("origin", "http://evil.example")]));
        assert!(!with(&[("origin", "null")]));
        assert!(!with(&[("sec-fetch-site", "cross-site")]));
        assert!(!with(&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:8080")]));
    }

    #[test]
    fn csrf_header_must_be_there() {
        assert_eq!(check_csrf_header(&headers(&[])).unwrap_err().code, Code::CsrfHeaderMissing.code());
        assert!(check_csrf_header(&headers(&[(CSRF_HEADER, "0")])).is_err());
        assert!(check_csrf_header(&headers(&[(CSRF_HEADER, "1")])).is_ok());
    }
}
