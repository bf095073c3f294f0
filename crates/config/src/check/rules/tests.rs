use crate::{
    ErrorStatus, FieldRule, PathPattern, Piece, Rules, Target,
    testing::{Setup, problem},
};

fn rules(setup: &Setup) -> Rules {
    setup.config().sites.rules
}

fn redirects(values: &[&str]) -> Vec<(u16, PathPattern, Target)> {
    let rules = rules(&Setup::new().flag_values("redirect", values));
    rules.redirects.into_iter().map(|rule| (rule.status, rule.from, rule.to)).collect()
}

fn target(origin: Option<&str>, path: Vec<Piece>) -> Target {
    Target { origin: origin.map(str::to_owned), path, query: Vec::new(), keeps_query: true }
}

fn text(text: &str) -> Piece {
    Piece::Text(text.into())
}

#[test]
fn a_redirect_has_a_status_a_pattern_and_a_target() {
    let exact = |path: &str| PathPattern::Exact(path.into());
    let below = |path: &str| PathPattern::Below(path.into());
    let regex = |pattern: &str| PathPattern::Regex(pattern.into());
    for (written, status, from, to) in [
        ("/old=/new", 302, exact("/old"), target(None, vec![text("/new")])),
        ("301 /old = /new", 301, exact("/old"), target(None, vec![text("/new")])),
        ("/a b/=/b", 302, exact("/a b/"), target(None, vec![text("/b")])),
        ("308 /a/*=/b/$1", 308, below("/a"), target(None, vec![text("/b/"), Piece::Capture(1)])),
        (
            "/*=https://Other.example:8443/x/$1",
            302,
            below(""),
            target(Some("https://other.example:8443"), vec![text("/x/"), Piece::Capture(1)]),
        ),
        ("/x=http://other.example", 302, exact("/x"), target(Some("http://other.example"), vec![text("/")])),
        (
            r"~ ^/u/(\d+)/(\w+)$=/$2/$1",
            302,
            regex(r"^/u/(\d+)/(\w+)$"),
            target(None, vec![text("/"), Piece::Capture(2), text("/"), Piece::Capture(1)]),
        ),
        (r"~* \.php$=/", 302, regex(r"(?i)\.php$"), target(None, vec![text("/")])),
        ("~ ^/a=/b$ -> /c$$d", 302, regex("^/a=/b$"), target(None, vec![text("/c$d")])),
        ("/x=/größe", 302, exact("/x"), target(None, vec![text("/gr%C3%B6%C3%9Fe")])),
    ] {
        assert_eq!(redirects(&[written]), [(status, from, to)], "{written}");
    }
}

#[test]
fn the_query_of_a_target_is_read_as_nginx_does() {
    let query = |written: &str| {
        let to = redirects(&[written]).remove(0).2;
        (to.query, to.keeps_query)
    };
    assert_eq!(query("/a=/b"), (vec![], true));
    assert_eq!(query("/a=/b?"), (vec![], false));
    assert_eq!(query("/a=/b?x=1"), (vec![text("x=1")], true));
    assert_eq!(query("/a=/b?x=1?"), (vec![text("x=1")], false));
    assert_eq!(query("/a/*=/b?x=$1&y"), (vec![text("x="), Piece::Capture(1), text("&y")], true));
    assert_eq!(query("/a=https://o.example?x"), (vec![text("x")], true));
}

#[test]
fn a_rule_that_could_not_work_is_refused_with_the_reason() {
    for (key, written, reason) in [
        ("redirect", "/old", "nothing to lead to"),
        ("redirect", "/old=", "nothing to lead to"),
        ("redirect", "200 /old=/new", "`200` is not a status for this"),
        ("redirect", "old=/new", "`old` is not a path that a request can have"),
        ("redirect", "/a/../b=/new", "`/a/../b` is not a path that a request can have"),
        ("redirect", "/a//b=/new", "`/a//b` is not a path that a request can have"),
        ("redirect", "/a?b=/new", "`/a?b` is not a path that a request can have"),
        ("redirect", "/a%20b=/new", "`/a%20b` is not a path that a request can have"),
        ("redirect", "/a*=/new", "`/a*` is not a path that a request can have"),
        ("redirect", "~ (=/new", "not a regular expression: unclosed group"),
        ("redirect", "/old=new", "`new` is neither a path nor a URL"),
        ("redirect", "/old=ftp://x/", "`ftp://x/` is neither a path nor a URL"),
        ("redirect", "/old=//evil.example/", "`//evil.example/` is neither a path nor a URL"),
        ("redirect", "/old=/\\evil.example/", "`/\\evil.example/` is neither a path nor a URL"),
        ("redirect", "/old=/a b", "`/a b` is neither a path nor a URL"),
        ("redirect", "/old=/a#b", "`/a#b` is neither a path nor a URL"),
        ("redirect", "/old=https://", "`https://` is neither a path nor a URL"),
        ("redirect", "/old=https://a:b@c/", "`https://a:b@c/` is neither a path nor a URL"),
        ("redirect", "/*=https://x$1/", "`https://x$1/` lets the client choose the host"),
        ("redirect", "/*=https://$1", "`https://$1` lets the client choose the host"),
        ("redirect", "/old=/$1", "`$1` is not there: the pattern has 0 groups"),
        ("redirect", "/a/*=/$2", "`$2` is not there: the pattern has 1 groups"),
        ("redirect", "~ (a)(b)=/$3", "`$3` is not there: the pattern has 2 groups"),
        ("redirect", "/old=/$x", "a `$` without a number"),
        ("rewrite", "/old=https://x.example/", "a rewrite stays on the site"),
        ("return", "/gone", "`` is not a status for this"),
        ("return", "301 /gone", "`301` is not a status for this"),
        ("return", "99 /gone", "`99` is not a status for this"),
        ("return", "204 /ping=x", "a response with status 204 has no body"),
        ("header", "X-Frame-Options", "not a field"),
        ("header", "X Y: z", "not a field"),
        ("header", "X-Y:", "not a field"),
        ("header", "X-Y: a\r\nSet-Cookie: b", "not a field"),
        ("header", "Content-Length: 3", "`content-length` belongs to the framing of the response"),
        ("header", "-Transfer-Encoding", "`transfer-encoding` belongs to the framing of the response"),
        ("header", "+Connection: close", "`connection` belongs to the framing of the response"),
        ("error_page", "404", "not a status and a file"),
        ("error_page", "404=", "not a status and a file"),
        ("error_page", "200=page.html", "`200` is not a status for this"),
        ("error_page", "3xx=page.html", "`3xx` is not a status for this"),
        ("error_page", "404=nowhere.html", "can not read /"),
        ("canonical_host", "example.com/", "not a host name"),
        ("canonical_host", "*.example.com", "not a host name"),
        ("mount", "/shop", "not a path prefix and an application"),
        ("mount", "shop=shop", "not a path prefix and an application"),
        ("mount", "/=shop", "`/` is not a path that a request can have"),
        ("mount", "/a/./b=shop", "`/a/./b` is not a path that a request can have"),
        ("mount", "/shop=shop.py", "the name of a file"),
    ] {
        let text = problem(&Setup::new().with_file("page.html", "").flag(key, written));
        let flag = key.replace('_', "-");
        assert!(text.starts_with(&format!("flag --{flag}: {key} = `{written}`: {reason}")), "{text}");
        assert!(text.contains("\n    hint: ") || reason.starts_with("can not read"), "{text}");
    }
}

#[test]
fn a_pattern_or_a_prefix_that_is_there_twice_is_refused_with_its_line() {
    let text = problem(&Setup::new().file("redirect = [\n '/a=/b',\n '/c=/d',\n '301 /a=/e',\n]\n"));
    assert!(text.starts_with("stack.toml:4: `redirect`: `/a` is there twice"), "{text}");
    let setup = Setup::new().with_directory("public");
    let text = problem(&setup.file("static = '/a=public'\nmount = ['/b=b',\n '/a=a']\n"));
    assert!(text.starts_with("stack.toml:3: `mount`: prefix `/a` is there twice"), "{text}");
    let setup = Setup::new().with_file("a.html", "");
    let text = problem(&setup.flag_values("error_page", &["404=a.html", "404=a.html"]));
    assert!(text.contains("`404` is there twice"), "{text}");
}

#[test]
fn a_fixed_answer_has_a_body_or_none() {
    let setup = Setup::new()
        .flag_values("return", &["410 /gone", "200 /robots.txt=User-agent: *\nDisallow: /a=b", "204 ~ ^/p"]);
    let returns = rules(&setup).returns;
    let bodies: Vec<_> = returns.iter().map(|rule| (rule.status, rule.body.as_deref())).collect();
    assert_eq!(bodies, [(410, None), (200, Some("User-agent: *\nDisallow: /a=b")), (204, None)]);
}

#[test]
fn fields_are_set_added_and_removed() {
    let fields = rules(&Setup::new().flag_values("header", &["X-A: b, c", "+Link:</x>", "-Server"])).fields;
    let set = FieldRule::Set("x-a".into(), "b, c".into());
    assert_eq!(fields, [set, FieldRule::Add("link".into(), "</x>".into()), FieldRule::Remove("server".into())]);
}

#[test]
fn an_error_page_is_read_with_the_configuration() {
    let setup = Setup::new().with_file("a.html", "text").flag_values("error_page", &["404=a.html", "5xx=a.html"]);
    let pages = rules(&setup).error_pages;
    assert_eq!((pages[0].status, &pages[0].content[..]), (ErrorStatus::Code(404), &b"text"[..]));
    assert_eq!((pages[1].status, &pages[1].path), (ErrorStatus::Class(5), &setup.directory().join("a.html")));
    let text = problem(&Setup::new().with_file("large", &"x".repeat(1024 * 1024 + 1)).flag("error_page", "404=large"));
    assert!(text.contains("larger than 1 MiB"), "{text}");
}

#[test]
fn a_table_is_as_good_as_texts() {
    let setup = |text: &str| Setup::new().with_file("a.html", "").file(text).config();
    for (table, texts) in [
        ("mount = { '/a' = 'a:app', '/b/c' = 'b' }", "mount = ['/a=a:app', '/b/c=b']"),
        (
            "[[mount]]\nprefix = '/a'\napp = 'a:app'\n[[mount]]\nprefix = '/b'\napp = 'b'",
            "mount = ['/a=a:app', '/b=b']",
        ),
        ("redirect = { '/a' = '/b' }", "redirect = '/a=/b'"),
        (
            "redirect = [{ from = '~ ^/(a=/b)$', to = '/c/$1', status = 308 }, '/x=/y']",
            "redirect = ['308 ~ ^/(a=/b)$ -> /c/$1', '/x=/y']",
        ),
        ("[[rewrite]]\nfrom = '/a'\nto = '/b'", "rewrite = '/a=/b'"),
        ("return = { from = '/a', status = 200, body = 'x=y -> z' }", "return = '200 /a -> x=y -> z'"),
        ("[[return]]\nfrom = '/a'\nstatus = 410", "return = '410 /a'"),
        ("header = { X-A = 'b', -Server = '' }", "header = ['X-A: b', '-Server']"),
        ("error_page = { 404 = 'a.html', 5xx = 'a.html' }", "error_page = ['404=a.html', '5xx=a.html']"),
    ] {
        let (one, other) = (setup(table), setup(texts));
        let without_paths = |mut rules: Rules| {
            rules.error_pages.iter_mut().for_each(|page| page.path = "page".into());
            rules
        };
        assert_eq!(one.sites.mounts, other.sites.mounts, "{table}");
        assert_eq!(without_paths(one.sites.rules), without_paths(other.sites.rules), "{table}");
    }
}

#[test]
fn a_table_that_is_not_complete_is_refused_with_its_line() {
    for (text, expected) in [
        ("\n[[mount]]\nprefix = '/a'\n", "stack.toml:2: `mount`: a table without `app`"),
        (
            "[[redirect]]\nform = '/a'\nto = '/b'\n",
            "stack.toml:2: `redirect`: no such key\n    hint: did you mean `from`?",
        ),
        ("mount = { '/a' = ['b'] }\n", "stack.toml:1: `mount`: an array in place of text"),
        ("static = { '/a' = 'b' }\n", "stack.toml:1: `static`: a table in place of text or an array of texts"),
    ] {
        let text = problem(&Setup::new().file(text));
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn with_a_mount_no_application_is_looked_for() {
    let config = Setup::new().flag("mount", "/shop=shop").config();
    assert_eq!(config.app, crate::AppSource::None);
    let layout = config.layout();
    assert_eq!(layout.sites[0].application, None);
    assert_eq!(layout.applications[0].at, ["default/shop"]);
    let both = Setup::new().flag("mount", "/shop=shop").flag("app", "main").config().layout();
    assert_eq!((both.sites[0].application, &both.sites[0].mounts[..]), (Some(0), &[("/shop".into(), 1)][..]));
}
