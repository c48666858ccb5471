//! The small HTTP server in front of the numbers: a few pages, GET and HEAD, one request for each
//! connection.
//!
//! A connection has [`HEAD_WITHIN`] to ask and [`PATIENCE`] in all, and ends with its answer.
//! Clients that are silent or slow lose their places to those that come (see
//! [`connections`](crate::control::server::connections)); the relay does not notice.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::debug;

use super::families::Moment;
use super::sampler::Sample;
use super::{Node, families, page, text};
use crate::control::server::connections::{Turn, answer_each};

/// How long the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may last, from its beginning to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of a request.
const HEAD_BYTES: usize = 8192;

/// A page that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Status,
    Report,
    History,
    Metrics,
    Live,
    Ready,
}

/// Answers whoever connects, for ever.
pub(super) async fn serve(listener: TcpListener, node: Arc<Node>) {
    let answer = |stream, turn| {
        let node = Arc::clone(&node);
        async move { converse(stream, turn, &node).await }
    };
    answer_each(listener, "metrics", answer).await;
}

/// Answers one request. What goes wrong here is the client's business.
async fn converse(stream: TcpStream, turn: Turn, node: &Node) {
    let service = service_fn(|request: hyper::Request<_>| {
        turn.is_servers();
        let turn = &turn;
        async move {
            let response = answer(node, request.method(), request.uri().path()).await;
            turn.is_clients();
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request for metrics failed"),
        Err(_) => debug!("a request for metrics took too long"),
    }
}

async fn answer(node: &Node, method: &Method, path: &str) -> Response<String> {
    let page = match path {
        "/" => Page::Status,
        "/status.json" => Page::Report,
        "/history.json" => Page::History,
        "/metrics" => Page::Metrics,
        "/live" => Page::Live,
        "/ready" => Page::Ready,
        _ => return plain(StatusCode::NOT_FOUND, "try /, /metrics, /live or /ready\n".to_owned()),
    };
    if ![Method::GET, Method::HEAD].contains(method) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n".to_owned());
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match page {
        Page::Status => page::page().unwrap_or_else(|error| {
            plain(StatusCode::INTERNAL_SERVER_ERROR, format!("no random bytes: {error}\n"))
        }),
        Page::Report => report(node).await,
        Page::History => page::history(&node.sampler.history().await),
        Page::Metrics => metrics(node).await,
        Page::Live => plain(StatusCode::OK, "live\n".to_owned()),
        Page::Ready => ready(node).await,
    }
}

async fn report(node: &Node) -> Response<String> {
    let sample = node.sampler.sample().await;
    let status = node.status.borrow().clone();
    let obstacle = obstacle(node, &sample);
    let is_ready = obstacle.is_none();
    let moment = Moment { about: &node.about, status: &status, is_ready, sample: &sample };
    page::status(&moment, obstacle.as_deref())
}

async fn metrics(node: &Node) -> Response<String> {
    let sample = node.sampler.sample().await;
    let status = node.status.borrow().clone();
    let is_ready = obstacle(node, &sample).is_none();
    let moment = Moment { about: &node.about, status: &status, is_ready, sample: &sample };
    let mut response = Response::new(families::text(&moment));
    let format = HeaderValue::from_static(text::CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}

async fn ready(node: &Node) -> Response<String> {
    let sample = node.sampler.sample().await;
    match obstacle(node, &sample) {
        None => plain(StatusCode::OK, "ready\n".to_owned()),
        Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

/// Why clients should not be sent here. Ready is a server that wants clients, has every address
/// that it should have, and whose workers all answer.
fn obstacle(node: &Node, sample: &Sample) -> Option<String> {
    if !node.readiness.holds() {
        return Some("draining or stopping".to_owned());
    }
    if let Some(lack) = node.status.borrow().lacking.first() {
        return Some(lack.clone());
    }
    let (answering, workers) = (sample.answered.len(), node.about.workers);
    (answering < workers).then(|| format!("{answering} of {workers} workers answer"))
}

fn plain(status: StatusCode, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let words = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, words);
    response
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use tokio::sync::watch;

    use super::super::sampler::{SnapshotSampler, snapshot};
    use super::super::{About, Losses, Readiness, status};
    use super::*;

    /// Two workers of which so many answer and the rest are gone.
    fn node(answering: u8) -> Node {
        let about = About {
            driver: "epoll",
            workers: 2,
            started: SystemTime::now(),
            begun: Instant::now(),
            losses: Losses::default(),
        };
        let sampler = SnapshotSampler::new(Instant::now(), move || {
            let (answer, answers) = crossbeam_channel::bounded(2);
            (0..answering).for_each(|index| answer.send(snapshot(index, 1)).unwrap());
            answers
        });
        let status = watch::channel(status()).1;
        Node { about, sampler, readiness: Readiness::new(), status }
    }

    fn ask(node: &Node, method: &Method, path: &str) -> (u16, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let response = runtime.unwrap().block_on(answer(node, method, path));
        (response.status().as_u16(), response.into_body())
    }

    #[test]
    fn only_what_exists_is_answered_and_only_by_get_and_head() {
        let node = node(2);
        for path in ["/index.html", "/metrics/", "/metricsx", "/../live", "", "*"] {
            assert_eq!(ask(&node, &Method::GET, path).0, 404, "{path}");
        }
        for path in ["/", "/status.json", "/history.json", "/metrics", "/live", "/ready"] {
            assert_eq!(ask(&node, &Method::GET, path).0, 200, "{path}");
            assert_eq!(ask(&node, &Method::HEAD, path).0, 200, "{path}");
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
                assert_eq!(ask(&node, &method, path).0, 405, "{method} {path}");
            }
        }
    }

    #[test]
    fn ready_is_who_wants_clients_and_whose_workers_answer() {
        let whole = node(2);
        assert_eq!(ask(&whole, &Method::GET, "/ready"), (200, "ready\n".to_owned()));
        let half = "not ready: 1 of 2 workers answer\n".to_owned();
        assert_eq!(ask(&node(1), &Method::GET, "/ready"), (503, half));
        whole.readiness.withdraw();
        assert_eq!(ask(&whole, &Method::GET, "/ready").0, 503);
        assert_eq!(ask(&whole, &Method::GET, "/live").0, 200);
    }
}
