//! Answers in XML, and refusals, which are such.

use crate::loopback::{Answer, whole};
use axum::http::Response;

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    header: Option<(&'static str, String)>,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), header: None }
    }

    pub fn with_header(self, name: &'static str, value: &str) -> Refusal {
        Refusal { header: Some((name, value.to_owned())), ..self }
    }

    /// What the client sees.
    pub fn answer(&self, is_head: bool) -> Answer {
        let mut head = Response::builder().status(self.status).header("Content-Type", "application/xml");
        if let Some((name, value)) = &self.header {
            head = head.header(*name, value);
        }
        let (code, message) = (element("Code", self.code), element("Message", &self.message));
        let body = format!("{HEAD}<Error>{code}{message}<RequestId>0</RequestId></Error>");
        whole(head, if is_head { String::new() } else { body })
    }
}

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A document of one element in Amazon's own name space.
pub(super) fn document(name: &str, inner: &str) -> Answer {
    let head = Response::builder().header("Content-Type", "application/xml");
    let body = format!("{HEAD}<{name} xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</{name}>");
    whole(head, body)
}

/// An element that holds text.
pub(super) fn element(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    format!("<{name}>{text}</{name}>")
}

/// The texts of all elements of a name, in their order; elements that have none inside of them.
pub(super) fn texts<'t>(document: &'t str, name: &str) -> Vec<&'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = document.split(&open).skip(1);
    parts.filter_map(|part| part.split_once(&close)).map(|(text, _)| text.trim()).collect()
}
