//! Counters of requests, by route; a route that is none is counted as one, so that nobody can make more of them.

use axum::http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

/// What is counted.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    /// Open GraphQL sockets.
    pub sockets: IntGauge,
}

impl HttpMetrics {
    /// Registers the metrics.
    pub fn try_new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("reprise_http_requests_total", "Requests answered, by route, method and status"),
            &["route", "method", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("reprise_http_request_seconds", "Time to the answer's head, by route"),
            &["route"],
        )?;
        let sockets = IntGauge::new("reprise_graphql_sockets", "Open GraphQL sockets")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(sockets.clone()))?;
        Ok(Self { requests, seconds, sockets })
    }

    /// Counts one answer.
    pub fn observe(&self, method: &str, route: &str, status: StatusCode, seconds: f64) {
        let method = match method {
            "GET" | "POST" | "HEAD" | "OPTIONS" => method,
            _ => "other",
        };
        self.requests.with_label_values(&[route, method, status.as_str()]).inc();
        self.seconds.with_label_values(&[route]).observe(seconds);
    }
}
