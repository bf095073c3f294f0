use super::*;
use crate::{
    Layout, Loaded,
    testing::{Setup, problem},
};

fn layout(text: &str) -> Layout {
    setup(text).config().layout()
}

fn setup(text: &str) -> Setup {
    Setup::new().with_directory("public").with_directory("other").with_file("page.html", "").file(text)
}

fn apps(layout: &Layout) -> Vec<(String, Vec<String>)> {
    let apps = layout.applications.iter().map(|served| match &served.application.app {
        AppSource::Named(app) => (app.module.clone(), served.at.clone()),
        other => panic!("{other:?}"),
    });
    apps.collect()
}

#[test]
fn without_a_section_the_top_level_is_the_one_site() {
    let layout = layout("app = 'shop'\nstatic = 'public'\n");
    assert_eq!((layout.sites.len(), layout.sites[0].is_default, layout.sites[0].application), (1, true, Some(0)));
    assert_eq!(layout.sites[0].statics.len(), 1);
    assert_eq!(apps(&layout), [("shop".into(), vec!["default".into()])]);
}

#[test]
fn the_top_level_is_a_site_beside_the_sections_if_it_serves_something() {
    let section = "[[site]]\nhost = 'a.example'\napp = 'a'\n";
    let names =
        |text: &str| layout(&format!("{text}\n{section}")).sites.into_iter().map(|site| site.name).collect::<Vec<_>>();
    assert_eq!(names("workers = 2\nheader = 'X-A: b'"), ["a.example"]);
    for text in ["app = 'shop'", "static = 'public'", "mount = '/b=b'", "redirect = '/a=/b'", "return = '410 /a'"] {
        assert_eq!(names(text), ["default", "a.example"], "{text}");
    }
}

#[test]
fn a_site_inherits_how_an_application_runs_and_nothing_of_what_is_served() {
    let text = "app = 'shop'\nworkers = 3\nthreads = 2\nstatic = 'public'\nredirect = '/a=/b'\nheader = 'X-A: b'\n\
                error_page = '404=page.html'\n[[site]]\nhost = 'a.example'\napp = 'a'\nthreads = 7\n\
                [[site]]\nhost = 'b.example'\napp = 'b'\nheader = []\nerror_page = []\n";
    let layout = layout(text);
    let [_, a, b] = &layout.sites[..] else { panic!("{layout:?}") };
    let runs = &layout.applications[1].application;
    assert_eq!((runs.workers.get(), runs.threads.get(), runs.workers_given), (3, 7, true));
    assert!(a.statics.is_empty() && a.rules.redirects.is_empty());
    assert_eq!((a.rules.fields.len(), a.rules.error_pages.len()), (1, 1));
    assert_eq!((b.rules.fields.len(), b.rules.error_pages.len()), (0, 0));
}

#[test]
fn sites_that_agree_in_everything_share_an_application() {
    let text = "[[site]]\nhost = 'a.example'\napp = 'shop'\nmount = { '/b' = 'blog' }\n\
                [[site]]\nhost = 'b.example'\napp = 'blog'\n\
                [[site]]\nhost = 'c.example'\napp = 'shop'\n\
                [[site]]\nhost = 'd.example'\napp = 'shop'\nworkers = 60000\n";
    let expected: [(&str, &[&str]); 3] =
        [("shop", &["a.example", "c.example"]), ("blog", &["a.example/b", "b.example"]), ("shop", &["d.example"])];
    let expected = expected.map(|(app, at)| (app.to_owned(), at.iter().map(ToString::to_string).collect()));
    assert_eq!(apps(&layout(text)), expected);
}

#[test]
fn paths_in_a_section_begin_at_the_file() {
    let setup = setup("[[site]]\nhost = 'a'\napp = 'a'\nchdir = 'other'\nstatic = '/s=public'\n");
    let site = setup.config().sites.sections.remove(0);
    assert_eq!(site.application.chdir, setup.directory().join("other"));
    assert_eq!(site.statics[0].directory, setup.directory().join("public").canonicalize().unwrap());
}

#[test]
fn a_host_is_in_lower_case_without_a_final_dot() {
    for (written, expected) in [
        ("Example.COM.", Host::Exact("example.com".into())),
        ("*.Example.com", Host::Below("example.com".into())),
        ("localhost", Host::Exact("localhost".into())),
        ("127.0.0.1", Host::Exact("127.0.0.1".into())),
        ("[::1]", Host::Exact("[::1]".into())),
        ("xn--gre-ioa2m.example", Host::Exact("xn--gre-ioa2m.example".into())),
        ("my_host", Host::Exact("my_host".into())),
    ] {
        assert_eq!(parse_host(written), Ok(expected), "{written}");
    }
}

#[test]
fn what_is_no_host_is_refused_with_a_hint() {
    for (written, hint) in [
        ("*", "write default = true"),
        ("_", "write default = true"),
        (".example.com", "write \"example.com\" and \"*.example.com\""),
        ("example.com:80", "write `example.com`"),
        ("http://example.com", "write the host alone"),
        ("example.com/", "write the host alone"),
        ("größe.example", "write it in ASCII"),
        ("www.*.example", "write a name such as"),
        ("*.*.example", "write a name such as"),
        ("*.127.0.0.1", "nothing is below an address"),
        ("-a.example", "write a name such as"),
        ("a..example", "write a name such as"),
        ("[::1", "write an IPv6 address"),
    ] {
        let reason = parse_host(written).unwrap_err();
        assert!(reason.hint().unwrap().starts_with(hint), "{written}: {:?}", reason.hint());
    }
    let text = problem(&setup("[[site]]\nhost = [\n 'a.example',\n 'b.example:80']\napp = 'a'\n"));
    assert!(text.starts_with("stack.toml:4: host = `b.example:80`: not a host name\n    hint: "), "{text}");
}

#[test]
fn a_problem_in_a_section_has_its_own_line() {
    let head = "workers = 2\n[[site]]\nhost = 'a'\n";
    for (rest, expected) in [
        ("app = 'a'\nworker = 1\n", "stack.toml:5: `worker`: no such key\n    hint: did you mean `workers`?"),
        ("app = 'a'\nserver_name = 'b'\n", "stack.toml:5: `server_name`: no such key\n    hint: did you mean `host`?"),
        ("app = 'a'\nbind = ':80'\n", "stack.toml:5: `bind`: not to be set for one site\n    hint: "),
        ("app = 'a.py'\n", "stack.toml:4: app = `a.py`: the name of a file"),
        ("app = 'a'\nworkers = 0\n", "stack.toml:5: workers = `0`: out of range"),
        ("app = 'a'\n\nstatic = 'nowhere'\n", "stack.toml:6: static = `nowhere`: can not read directory"),
        ("app = 'a'\nerror_page = '404=no'\n", "stack.toml:5: error_page = `404=no`: can not read /"),
        (
            "app = 'a'\nisolation = 'processes'\nthreads = []\n",
            "stack.toml:6: `threads`: an array in place of one value",
        ),
        ("app = 'a'\nisolation = 'threads'\npreload = true\n", "stack.toml:6: preload = `true`: isolation is threads"),
        ("", "stack.toml:2: `site`: a site with nothing to serve"),
        ("header = 'X-A: b'\n", "stack.toml:2: `site`: a site with nothing to serve"),
    ] {
        let text = problem(&setup(&format!("{head}{rest}")));
        assert!(text.starts_with(expected), "{text}");
    }
    let text = problem(&setup("[[site]]\napp = 'a'\n"));
    assert!(text.starts_with("stack.toml:1: `site`: a site without a host"), "{text}");
    let text = problem(&setup("[[server]]\nhost = 'a'\n"));
    assert_eq!(text, "stack.toml:1: `server`: no such key\n    hint: did you mean `[[site]]`?");
    for text in ["[site]\nhost = 'a'\n", "site = ['a']\n"] {
        let text = problem(&setup(text));
        assert!(text.starts_with("stack.toml:1: `site`: not a list of sections"), "{text}");
    }
}

#[test]
fn a_host_or_a_default_that_is_there_twice_names_both_lines() {
    let text =
        problem(&setup("[[site]]\nhost = ['a', 'b']\napp = 'a'\n[[site]]\nhost = [\n 'c',\n 'B.',\n]\napp = 'b'\n"));
    assert!(text.starts_with("stack.toml:7: `host`: host `b` is there twice: it is at stack.toml:2 already"), "{text}");
    let text = problem(&setup("[[site]]\ndefault = true\napp = 'a'\n[[site]]\ndefault = true\napp = 'b'\n"));
    let expected = "stack.toml:5: `default`: there is a default site already: it is at stack.toml:2";
    assert!(text.starts_with(expected), "{text}");
    let text = problem(&setup("app = 'shop'\n[[site]]\ndefault = true\napp = 'a'\n"));
    assert!(text.starts_with("stack.toml:3: `default`: there is a default site already: the top-level keys"), "{text}");
}

#[test]
fn a_server_with_nothing_to_serve_is_refused() {
    let text = problem(&Setup::new().flag("app", "none"));
    assert!(text.starts_with("flag --app: `app`: a site with nothing to serve"), "{text}");
    let files = Setup::new().with_directory("public").flag("app", "none").flag("static", "public").config().layout();
    assert_eq!((files.applications.len(), files.sites.len()), (0, 1));
}

#[test]
fn what_is_shown_of_a_site_reads_back_as_the_same() {
    let setup = setup(
        "threads = 2\n[[site]]\nhost = ['a.example', '*.b.example']\nchdir = 'other'\napp = 'a:make()'\nworkers = 3\n\
         static = ['/s=public']\nmount = { '/m' = 'm:app' }\ncanonical_host = 'https://a.example:8443'\n\
         redirect = ['308 /a/*=/b/$1?x=$1?', '~* ^/c(d)=https://o.example/$1']\nrewrite = '/e=/f'\n\
         return = ['410 /g', '200 /h=a=b']\nheader = ['X-A: b', '+X-B: c', '-Server']\n\
         error_page = '5xx=page.html'\nerror_pages_for_application = true\n[[site]]\ndefault = true\napp = 'b'\n",
    );
    let loaded = setup.load().unwrap();
    let again = Setup::new().file(&shown(&loaded)).config();
    // A default that is written out is none any more.
    let mut expected = loaded.config.sites.clone();
    expected.sections[1].application.workers_given = true;
    assert_eq!(again.sites, expected);
    let origin = loaded.explain_sites()[0].keys.iter().find(|explained| explained.key.name == "chdir").unwrap();
    assert_eq!(origin.origin.to_string(), "stack.toml:4");
}

fn shown(loaded: &Loaded) -> String {
    let line = |explained: &crate::Explained| {
        explained.value.as_ref().map(|value| format!("{} = {value}\n", explained.key.name)).unwrap_or_default()
    };
    let top: String = loaded.explain().iter().map(line).collect();
    let sites = loaded.explain_sites().iter().map(|site| {
        let keys: String = site.keys.iter().map(line).collect();
        format!("[[site]]\n{keys}")
    });
    top + &sites.collect::<String>()
}
