//! The keys about the life of the server.

use super::{Check, Place, bind};
use crate::{
    Changes, Lifecycle, ReloadCheck,
    checked::ControlSocket,
    error::Reason,
    raw::{Several, Written},
};

/// As it was written.
pub(super) struct RawLifecycle {
    pub(super) supervisor: Written,
    pub(super) watchdog_timeout: Written,
    pub(super) control_socket: Option<Written>,
    pub(super) reload_check: Option<Written>,
    pub(super) reload_on_change: Written,
    pub(super) reload_include: Several,
    pub(super) reload_ignore: Several,
    pub(super) browser_reload: Written,
}

impl Check<'_> {
    pub(super) fn lifecycle(&mut self, raw: RawLifecycle) -> Lifecycle {
        let RawLifecycle {
            supervisor,
            watchdog_timeout,
            control_socket,
            reload_check,
            reload_on_change,
            reload_include,
            reload_ignore,
            browser_reload,
        } = raw;
        let supervisor = self.switch("supervisor", &supervisor);
        let changes = Changes {
            reload: self.reload_on_change(&reload_on_change, supervisor),
            include: self.several("reload_include", reload_include, |_, text| glob(text)),
            ignore: self.several("reload_ignore", reload_ignore, |_, text| glob(text)),
            browser: self.switch("browser_reload", &browser_reload),
        };
        Lifecycle {
            supervisor,
            watchdog: self.limit("watchdog_timeout", &watchdog_timeout),
            control_socket: self.optional("control_socket", control_socket, socket).unwrap_or(ControlSocket::Default),
            reload_check: self.optional("reload_check", reload_check, |_, text| reload_check_of(text)),
            changes,
        }
    }

    /// A server alone can not be replaced: where that was asked for it is an error, else it is not expected.
    fn reload_on_change(&mut self, written: &Written, supervisor: bool) -> bool {
        let wanted = self.switch("reload_on_change", written);
        if wanted && !supervisor && self.is_given("reload_on_change") {
            self.problem_with("reload_on_change", written, Reason::ReloadAlone);
        }
        wanted && supervisor
    }
}

fn socket(place: Place<'_>, text: &str) -> Result<ControlSocket, Reason> {
    if text == "off" {
        return Ok(ControlSocket::Off);
    }
    if text.ends_with('/') {
        return Err(Reason::IsDirectory(place.absolute(text)));
    }
    bind::socket_path(place, text.strip_prefix("unix:").unwrap_or(text)).map(ControlSocket::Path)
}

fn glob(text: &str) -> Result<String, Reason> {
    globset::Glob::new(text).map_err(|error| Reason::NotGlob(error.kind().to_string()))?;
    let is_outside = text.starts_with('/') || text.split('/').any(|part| part == "..");
    if is_outside || text.ends_with('/') || text.contains(char::is_control) {
        return Err(Reason::GlobOutside);
    }
    Ok(text.to_owned())
}

fn reload_check_of(text: &str) -> Result<ReloadCheck, Reason> {
    let schemes = [("http://", false), ("https://", true)];
    let url = schemes.into_iter().find_map(|(prefix, is_https)| Some((text.strip_prefix(prefix)?, is_https)));
    let (host, target, is_https) = match url {
        None => (None, text, None),
        Some((rest, is_https)) => {
            let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(host.to_owned()), if target.is_empty() { "/" } else { target }, Some(is_https))
        }
    };
    let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    let is_host = |host: &String| !host.is_empty() && is_visible(host) && !host.contains(['@', '?', '\\']);
    if !target.starts_with('/') || !is_visible(target) || !host.as_ref().is_none_or(is_host) {
        return Err(Reason::NotReloadCheck);
    }
    Ok(ReloadCheck { target: target.to_owned(), host, is_https })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Setup, problem};

    #[test]
    fn a_control_socket_is_a_path_or_off() {
        let setup = Setup::new().flag("control_socket", "run.sock");
        assert_eq!(setup.config().lifecycle.control_socket, ControlSocket::Path(setup.directory().join("run.sock")));
        let off = Setup::new().flag("control_socket", "off").config();
        assert_eq!(off.lifecycle.control_socket, ControlSocket::Off);
        let text = problem(&Setup::new().flag("control_socket", "/nowhere/a.sock"));
        assert!(text.contains("no such directory /nowhere"), "{text}");
    }

    #[test]
    fn files_are_watched_in_dev_and_never_without_a_supervisor() {
        assert_eq!(Setup::new().config().lifecycle.changes, Changes::default());
        let dev = Setup::new().flag("profile", "dev");
        let changes = dev.config().lifecycle.changes;
        assert!(changes.reload && changes.browser);
        let alone = Setup::new().flag("profile", "dev").flag("supervisor", "false");
        assert!(!alone.config().lifecycle.changes.reload);
        let text = problem(&alone.flag("reload_on_change", "true"));
        assert!(text.contains("supervisor is false"), "{text}");
    }

    #[test]
    fn files_to_watch_are_globs_below_the_directory() {
        let setup = Setup::new().flag_values("reload_include", &["*.json", "data/*.csv"]);
        assert_eq!(setup.config().lifecycle.changes.include, ["*.json", "data/*.csv"]);
        for (written, reason) in [("a[", "not a glob"), ("/etc/*", "from chdir on"), ("../*.py", "from chdir on")] {
            let text = problem(&Setup::new().flag("reload_ignore", written));
            assert!(text.contains(reason), "{text}");
        }
    }

    #[test]
    fn a_server_is_found_whatever_else_is_wrong_with_the_file() {
        let broken = Setup::new().file("control_socket = \"a.sock\"\nworkers = 0\nnonsense = 1\n");
        let located = broken.locate().unwrap();
        assert_eq!(located.control_socket, ControlSocket::Path(broken.directory().join("a.sock")));
        assert_eq!(located.errors.map(|errors| errors.problems().len()), Some(2));
        assert!(Setup::new().locate().unwrap().errors.is_none());
        // What was written for this very command has to be right, and what the command needs.
        broken.flag("threads", "many").locate().unwrap_err();
        Setup::new().flag("config", "nowhere.toml").locate().unwrap_err();
        Setup::new().file("control_socket = \"/nowhere/a.sock\"\n").locate().unwrap_err();
    }

    #[test]
    fn a_reload_check_is_a_path_or_a_url() {
        let check = |written: &str| Setup::new().flag("reload_check", written).config().lifecycle.reload_check.unwrap();
        let path = ReloadCheck { target: "/healthz?full=1".into(), host: None, is_https: None };
        assert_eq!(check("/healthz?full=1"), path);
        let url = ReloadCheck { target: "/a".into(), host: Some("www.example.com".into()), is_https: Some(true) };
        assert_eq!(check("https://www.example.com/a"), url);
        assert_eq!(check("http://a:8000").target, "/");
        for written in ["healthz", "/a b", "http://", "https://a@b/", "/a#b"] {
            let text = problem(&Setup::new().flag("reload_check", written));
            assert!(text.contains("neither a path nor a URL"), "{text}");
        }
    }
}
