//! What a static host must be told so that clients get an index in a form that they take.
//!
//! pip and uv refuse JSON under any type but its own, and a host that knows nothing of it calls it `application/json`. nginx and Apache
//! can also be taught to choose the form by what a client accepts. Limit: weights (`q=0.1`) are not looked at; who accepts JSON gets JSON.

/// Who serves the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// nginx: part of a `server`.
    Nginx,
    /// Apache: a `.htaccess`.
    Apache,
    /// Cloudflare and Netlify: a `_headers`, which cannot choose but tells the type of what is below a path.
    Headers,
}

/// The rules for an index in the folder `index` of a site, with the sub-indexes beside it; `json` is where its pages in JSON alone are.
pub fn rules(host: Host, index: &str, json: &str, sub_indexes: &[String]) -> String {
    match host {
        Host::Nginx => nginx(index),
        Host::Apache => apache(index),
        Host::Headers => headers(json, sub_indexes),
    }
}

const TYPE: &str = "application/vnd.pypi.simple.v1+json";
const ACCEPTED: &str = r"application/vnd\.pypi\.simple\.(v1|latest)\+json";

fn nginx(index: &str) -> String {
    format!(
        r#"# A package index: include this in the `server` whose root is the site.
set $index_page index.html;
if ($http_accept ~ "{ACCEPTED}") {{
    set $index_page index.json;
}}
location ~ ^/([^/]+/)?{index}/ {{
    index $index_page;
    types {{
        text/html html;
        {TYPE} json;
    }}
    charset utf-8;
    add_header Vary Accept;
    location ~ -variants\.json$ {{
        types {{
            application/json json;
        }}
    }}
}}
"#,
        index = escaped(index)
    )
}

fn apache(index: &str) -> String {
    format!(
        r#"# A package index: `.htaccess` at the root of the site, where AllowOverride has FileInfo and Indexes;
# with the modules rewrite, mime, dir and headers.
DirectoryIndex index.html
RewriteEngine On
RewriteCond %{{HTTP_ACCEPT}} {ACCEPTED}
RewriteRule ^((?:[^/]+/)?{index}/(?:[^/]+/)?)$ $1index.json [L]
<FilesMatch "^index\.json$">
    ForceType {TYPE}
</FilesMatch>
<FilesMatch "^index\.(html|json)$">
    Header merge Vary Accept
</FilesMatch>
"#,
        index = escaped(index)
    )
}

fn headers(json: &str, sub_indexes: &[String]) -> String {
    let mut text = "# A package index: `_headers` at the root of the site; pip and uv take the addresses below in JSON.\n".to_owned();
    let subs = sub_indexes.iter().map(|sub| format!("{sub}/{json}"));
    for folder in [json.to_owned()].into_iter().chain(subs) {
        text.push_str(&format!("/{folder}/*\n  Content-Type: {TYPE}\n"));
    }
    text
}

/// A name within a regular expression.
fn escaped(name: &str) -> String {
    name.chars().flat_map(|c| (!c.is_alphanumeric()).then_some('\\').into_iter().chain([c])).collect()
}
