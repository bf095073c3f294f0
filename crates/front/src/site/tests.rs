use std::{collections::HashMap, path::Path, sync::Arc};

use stack_bridge::Queue;
use stack_config::{Inputs, Rates, Rules};

use super::*;
use crate::{health::Health, metrics::Metrics};

fn site(hosts: &[&str], is_default: bool) -> stack_config::Site {
    let hosts = hosts.iter().map(|host| match host.strip_prefix("*.") {
        Some(name) => Host::Below(name.to_owned()),
        None => Host::Exact((*host).to_owned()),
    });
    stack_config::Site {
        name: String::new(),
        hosts: hosts.collect(),
        is_default,
        statics: Vec::new(),
        application: None,
        mounts: Vec::new(),
        rules: Rules::default(),
    }
}

fn sites(sites: Vec<stack_config::Site>, applications: &[Arc<Application>]) -> Sites {
    let compression =
        stack_config::Compression { mode: stack_config::CompressionMode::Off, min_size: 0, types: Vec::new() };
    let files = stack_config::Files {
        fallbacks: Vec::new(),
        cache_rules: Vec::new(),
        cache_memory: 0,
        listings: Vec::new(),
        internal: Vec::new(),
        sendfile: Vec::new(),
        django: false,
        compression,
    };
    Sites::new(
        Layout { sites, applications: Vec::new(), rules: Rules::default() },
        applications,
        &FileService::new(&files),
    )
}

impl Sites {
    /// Sites of these hosts with nothing on them.
    pub(crate) fn of_names(names: &[&str]) -> Self {
        sites(vec![site(names, true)], &[])
    }
}

#[test]
fn the_exact_name_goes_before_the_longest_wildcard_and_that_before_the_default() {
    let all = sites(
        vec![
            site(&["example.com", "[::1]", "127.0.0.1"], false),
            site(&["*.example.com"], false),
            site(&["*.b.example.com"], false),
            site(&["x.a.example.com"], false),
            site(&[], true),
        ],
        &[],
    );
    for (host, place) in [
        ("example.com", 0),
        ("EXAMPLE.Com", 0),
        ("[::1]", 0),
        ("127.0.0.1", 0),
        ("a.example.com", 1),
        ("a.a.example.com", 1),
        ("b.example.com", 1),
        ("A.B.Example.Com", 2),
        ("x.b.example.com", 2),
        ("x.a.example.com", 3),
        ("y.x.a.example.com", 1),
        ("notexample.com", 4),
        (".example.com", 4),
        ("example.com.evil.example", 4),
        ("com", 4),
        ("ex%61mple.com", 4),
        ("example.org", 4),
        (&"a.".repeat(200), 4),
    ] {
        let found = all.find(Some(host.as_bytes())).unwrap();
        assert!(std::ptr::eq(found, &raw const all.all[place]), "{host}");
    }
    assert!(std::ptr::eq(all.find(None).unwrap(), &raw const all.all[4]));
}

#[test]
fn without_a_default_an_unknown_host_has_no_site() {
    let all = sites(vec![site(&["a.example"], false)], &[]);
    assert!(all.find(Some(b"a.example")).is_some());
    assert!(all.find(Some(b"b.example")).is_none() && all.find(None).is_none());
}

fn application() -> Arc<Application> {
    let inputs = Inputs { flags: Vec::new(), environment: Vec::new(), current_dir: "/".into() };
    let config = stack_config::load(inputs).unwrap().config;
    let (limits, pressure) = (Arc::new(config.limits), Health::new(None).watch(Queue::new(1)));
    Arc::new(Application::new(pressure, limits, &config.timeouts, Rates::default(), Arc::new(Metrics::default())))
}

fn with_prefixes() -> Sites {
    let mut routed = site(&[], true);
    let root = |prefix: &str| StaticRoot { prefix: Some(prefix.into()), directory: Path::new("/").into() };
    routed.statics = vec![root("/static"), root("/shop/static")];
    routed.mounts = vec![("/shop".into(), 0), ("/shop/admin".into(), 0), ("/a/b".into(), 0)];
    sites(vec![routed], &[application()])
}

fn text(route: &Route<'_>) -> String {
    match route {
        Route::Files(_) => "files".to_owned(),
        Route::Mount(mount, _) => String::from_utf8(mount.to_vec()).unwrap(),
        Route::Root => "root".to_owned(),
    }
}

#[test]
fn the_longest_prefix_of_whole_segments_has_the_path() {
    let all = with_prefixes();
    for (path, expected) in [
        ("/", "root"),
        ("/shop", "/shop"),
        ("/shop/", "/shop"),
        ("//shop", "/shop"),
        ("/shop//x", "/shop"),
        ("/shopping", "root"),
        ("/Shop", "root"),
        ("/shop/static/x.css", "files"),
        ("/shop/staticx", "/shop"),
        ("/shop/admin/x", "/shop/admin"),
        ("/shop//admin", "/shop/admin"),
        ("/static", "files"),
        ("/x/static", "root"),
        ("/a", "root"),
        ("/a/b/c", "/a/b"),
    ] {
        assert_eq!(text(&all.find(None).unwrap().route(path.as_bytes())), expected, "{path}");
    }
}

/// Whatever a client sends, where it is routed is where what the application gets would be routed, and the two parts that
/// the application gets are the whole path.
#[test]
fn the_route_of_a_path_is_the_route_of_what_the_application_gets() {
    let all = with_prefixes();
    let site = all.find(None).unwrap();
    let pieces = ["/", "shop", "%73hop", "%2f", "admin", "..", "%2e%2e", ".", "static", "a", "b", "%00", "x"];
    let count = pieces.len();
    let mut seen = HashMap::<String, usize>::new();
    for number in (0..count.pow(5)).step_by(7) {
        let digits = (0..5).map(|place| pieces[number / count.pow(place) % count]);
        let sent: String = std::iter::once("/").chain(digits).collect();
        let Ok(normal) = path::normalise(&sent) else { continue };
        let normal = normal.unwrap_or(sent.clone());
        let decoded = path::decode(normal.as_bytes());
        let route = site.route(&decoded);
        *seen.entry(text(&route)).or_default() += 1;
        if let Route::Mount(mount, _) = &route {
            let path_info = path::below(mount, &decoded).unwrap_or_else(|| panic!("{sent}"));
            let whole = [mount, path_info].concat();
            assert_eq!(path::merged(&whole), path::merged(&decoded), "{sent}");
            assert_eq!(text(&site.route(&whole)), text(&route), "{sent}");
        }
        // Decoding once more, or removing dots once more, is what a careless application would do with it.
        let again = path::normalise(std::str::from_utf8(&decoded).unwrap()).unwrap();
        if !decoded.contains(&b'%') {
            assert_eq!(again, None, "{sent}");
        }
        assert_eq!(text(&site.route(&path::merged(&decoded))), text(&route), "{sent}");
    }
    for route in ["root", "/shop", "/shop/admin", "/a/b", "files"] {
        assert!(seen.get(route).is_some_and(|times| *times > 5), "{route}: {seen:?}");
    }
}

#[test]
fn only_files_without_rules_before_them_are_looked_for_at_once() {
    let root = |prefix: Option<&str>| StaticRoot { prefix: prefix.map(str::to_owned), directory: "/nowhere".into() };
    let with = |statics, canonical_host: Option<&str>| {
        let rules = Rules { canonical_host: canonical_host.map(str::to_owned), ..Rules::default() };
        stack_config::Site { statics, rules, ..site(&[], true) }
    };
    for (statics, canonical_host, expected) in [
        (vec![], None, false),
        (vec![root(None)], None, true),
        (vec![root(Some("/static"))], None, true),
        (vec![root(None)], Some("a.example"), false),
    ] {
        assert_eq!(sites(vec![with(statics, canonical_host)], &[]).may_have_content(), expected);
    }
    let mut named_later = sites(vec![with(Vec::new(), None)], &[]);
    named_later.add_directory(0, "/static", "/nowhere".into(), false);
    assert!(named_later.may_have_content());
}
