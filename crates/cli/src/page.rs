//! A document as a page for a browser: its Markdown, and nothing that could act.
//!
//! The text is other people's. HTML in it is shown as what it is and never becomes part of the page; links lead to the web or
//! to a mailbox and nowhere else; pictures are links, so that opening the page asks nobody for anything.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

const STYLE: &str = "body{max-width:42rem;margin:3rem auto;padding:0 1rem;font:1.05rem/1.6 system-ui,sans-serif}\
pre{overflow-x:auto;padding:1rem;border:1px solid #8884;border-radius:.4rem}table{border-collapse:collapse}\
td,th{border:1px solid #8886;padding:.3rem .6rem}blockquote{margin-left:0;padding-left:1rem;border-left:3px solid #8888}\
:root{color-scheme:light dark}";

/// The page. `source` says where the document is.
pub(crate) fn page(title: &str, source: &str, text: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut body = String::new();
    html::push_html(&mut body, Parser::new_ext(text, options).map(tame));
    let (title, source) = (escaped(title), escaped(source));
    format!(
        "<!doctype html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"source\" content=\"{source}\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// One part of the page without what could act.
fn tame(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { dest_url: allowed(link_type, dest_url), link_type, title, id })
        }
        Event::Start(Tag::Image { dest_url, title, id, .. }) => {
            let link_type = LinkType::Inline;
            Event::Start(Tag::Link { dest_url: allowed(link_type, dest_url), link_type, title, id })
        }
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        other => other,
    }
}

/// Where a link may lead: elsewhere it leads nowhere.
fn allowed(kind: LinkType, to: CowStr<'_>) -> CowStr<'_> {
    if kind == LinkType::Email {
        return to; // The library itself makes it a mailto.
    }
    // Browsers read past white space and control characters in a scheme.
    let bare: String = to.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    let bare = bare.to_ascii_lowercase();
    let leads = ["https://", "http://", "mailto:"].iter().any(|scheme| bare.starts_with(scheme));
    if leads || bare.starts_with('#') { to } else { "#".into() }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_a_page() {
        let page = page(
            "A & B",
            "at://did:plc:x/y/z",
            "# Hi 👩‍👩‍👧\n\n*e\u{301}* [a](https://a.example) | <b@c.example>\n\n- [x] done\n",
        );
        for part in [
            "<title>A &amp; B</title>",
            "<h1>Hi 👩‍👩‍👧</h1>",
            "<em>e\u{301}</em>",
            "<a href=\"https://a.example\">a</a>",
            "mailto:b@c.example",
            "checkbox",
            "content=\"at://did:plc:x/y/z\"",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn nothing_in_a_text_acts_on_its_page() {
        let attacks = [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "<div\nonclick=alert(1)>\n\ntext\n\n</div>",
            "[x](javascript:alert(1))",
            "[x](JaVaScRiPt:alert(1))",
            "[x](java\tscript:alert(1))",
            "[x](&#x6A;avascript:alert(1))",
            "[x]( <javascript:alert(1)> )",
            "![x](data:image/svg+xml;base64,AAAA)",
            "![x](https://tracker.example/p.png)",
            "<javascript:alert(1)>",
            "[x]: javascript:alert(1)\n\n[x]",
            "<!-- <script>alert(1)</script> -->",
            "<?php alert(1) ?>",
            "[x](vbscript:x) [y](file:///etc/passwd) [z](//evil.example) [w](data:text/html,x)",
            "[x](https://a.example \"\\\" onmouseover=alert(1) \\\"\")",
        ];
        for attack in attacks {
            let page = page("\"><script>alert(1)</script>", "\"><script>", attack);
            let lower = page.to_ascii_lowercase();
            for acting in [
                "<script",
                "<img",
                "<div",
                "<!--",
                "<?",
                "=\"javascript:",
                "=\"data:",
                "=\"vbscript:",
                "=\"file:",
                "=\"//",
            ] {
                assert!(!lower.contains(acting), "{attack}: {acting} in {page}");
            }
            let body = lower.split("<body>").nth(1).unwrap();
            // No attribute but those of links is ever written, and its value never ends early.
            for tag in body.split('<').skip(1).filter_map(|part| part.split_once('>').map(|(tag, _)| tag)) {
                let outside: String = tag.split('"').step_by(2).collect();
                assert!(!outside.contains(" on"), "{attack}: <{tag}>");
            }
        }
    }
}
