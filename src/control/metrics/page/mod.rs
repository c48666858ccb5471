//! The status page: one HTML page with everything in it, and the JSON that it draws.
//!
//! ```text
//! GET /              page.html with page.css and page.js inside
//! GET /status.json   counters of this moment           every two seconds
//! GET /history.json  what was left of the last hour    once
//! ```
//!
//! Law: the page asks nobody but this server and changes nothing. Its policy lets no script and no
//! style run but those it came with, which bear a number drawn for each answer, and lets nobody
//! else show it in a frame.

mod report;

use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

use super::families::Moment;
use super::history::Point;
use report::Report;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Writes the page.
///
/// # Errors
/// The system gives no random bytes.
pub(super) fn page() -> Result<Response<String>, getrandom::Error> {
    let nonce = format!("{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?);
    let body =
        PAGE.replace("{{nonce}}", &nonce).replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let policy = HeaderValue::try_from(policy).expect("the policy is ASCII text");
    let mut response = fresh(body, "text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}

/// Writes the counters of one moment.
pub(super) fn status(moment: &Moment<'_>, obstacle: Option<&str>) -> Response<String> {
    json(&Report::of(moment, obstacle))
}

/// Writes what is known of the last hour.
pub(super) fn history(points: &[Point]) -> Response<String> {
    json(points)
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> Response<String> {
    let text = serde_json::to_string(value).expect("numbers and strings are always JSON");
    fresh(text, "application/json")
}

/// What nobody may keep, guess the type of, or learn the address of.
fn fresh(body: String, kind: &'static str) -> Response<String> {
    let mut response = Response::new(body);
    let headers: [(HeaderName, &'static str); 4] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    // A word in the page that begins an address would be a request to somebody else.
    #[test]
    fn the_page_names_no_other_server_and_holds_what_it_needs() {
        let response = page().unwrap();
        let body = response.body();
        for word in ["http:", "https:", "url(", "@import", "src=", "innerHTML", "eval("] {
            // The name space of SVG is a name, and asks nobody.
            let at = body.replace("http://www.w3.org/2000/svg", "").find(word);
            assert_eq!(at, None, "{word}");
        }
        assert!(!body.contains("{{"), "something was not filled in");
        assert!(body.contains(STYLE) && body.contains(SCRIPT));
    }

    #[test]
    fn only_what_bears_the_number_of_this_answer_runs() {
        let (one, other) = (page().unwrap(), page().unwrap());
        let policy = |response: &Response<String>| {
            response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        assert_ne!(policy(&one), policy(&other), "the number is drawn anew");
        assert!(policy(&one).starts_with("default-src 'none'; "));
        assert!(!policy(&one).contains("unsafe"));
        let nonce = policy(&one).split("'nonce-").nth(1).unwrap()[..32].to_owned();
        assert_eq!(one.body().matches(&format!("nonce=\"{nonce}\"")).count(), 2);
        // A style attribute would be ignored by the browser.
        assert!(!PAGE.contains("style=") && !SCRIPT.contains("setAttribute(\"style\""));
    }
}
