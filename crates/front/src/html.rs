//! Text in HTML.

/// The text with the characters that mean something in HTML written as references, in content and in quoted attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_html_knows_is_left() {
        assert_eq!(
            escaped("<a href=\"b\" c='d'>&amp; \u{e4}"),
            "&lt;a href=&quot;b&quot; c=&#39;d&#39;&gt;&amp;amp; \u{e4}"
        );
    }
}
