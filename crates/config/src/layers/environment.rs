//! The environment variables that set keys.

use figment::value::{Dict, Value};

use crate::{
    error::{Problem, Reason},
    keys::{self, Key, VARIABLE_PREFIX},
    origin::Origin,
};

/// The keys that are set in `environment`. An empty variable counts as not set, as `VAR=${VAR:-}` in a compose file
/// means it.
pub(super) fn values(environment: &[(String, String)], problems: &mut Vec<Problem>) -> Dict {
    let mut values = Dict::new();
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(VARIABLE_PREFIX) else { continue };
        if is_service_link(name, value) {
            continue;
        }
        let Some(key) = keys::keys().iter().find(|key| key.variable() == *variable) else {
            let nearest = Key::nearest(name).map(Key::variable);
            let origin = Origin::Environment(variable.clone());
            problems.push(Problem::with_name(origin, variable, Reason::UnknownKey { nearest }));
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let value = if key.repeatable {
            Value::from(value.split(',').map(str::trim).collect::<Vec<_>>())
        } else {
            Value::from(value.as_str())
        };
        values.insert(key.name.to_owned(), value);
    }
    values
}

/// Where to listen if nobody says so: the name of the variable that tells, and a value of `bind`. A service manager passes
/// sockets on (`LISTEN_FDS`, from descriptor 3), a platform gives a container an address (`PORT`).
pub(super) fn listening(environment: &[(String, String)]) -> Option<(&'static str, Vec<String>)> {
    let value = |name: &str| environment.iter().find(|(variable, value)| variable == name && !value.is_empty());
    if let Some(count) = value("LISTEN_FDS").and_then(|(_, count)| count.parse::<u16>().ok()).filter(|count| *count > 0)
    {
        return Some(("LISTEN_FDS", (0..count).map(|place| format!("fd://{}", place + 3)).collect()));
    }
    value("PORT").map(|(_, port)| ("PORT", vec![format!("0.0.0.0:{port}")]))
}

/// Whether Kubernetes made the variable for a service whose name begins with `stack`: `STACK_SERVICE_HOST`,
/// `STACK_WEB_PORT_80_TCP_ADDR`, `STACK_PORT=tcp://…`. Every container in the namespace gets them.
fn is_service_link(name: &str, value: &str) -> bool {
    let name = format!("_{name}");
    let numbered_port = name.split("_PORT_").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let has_scheme = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || numbered_port
        || (name.ends_with("_PORT") && has_scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)]) -> (Dict, Vec<String>) {
        let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut problems = Vec::new();
        let values = values(&environment, &mut problems);
        (values, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn commas_separate_the_values_of_a_repeatable_key() {
        let (values, _) = read(&[("STACK_BIND", ":8000, unix:/run/a.sock"), ("STACK_APP", "a,b"), ("HOME", "/root")]);
        assert_eq!(values["bind"].as_array().unwrap().len(), 2);
        assert_eq!(values["bind"].as_array().unwrap()[1].as_str(), Some("unix:/run/a.sock"));
        assert_eq!(values["app"].as_str(), Some("a,b"));
        assert_eq!(values.len(), 2);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        assert_eq!(read(&[("STACK_BIND", ""), ("STACK_WORKERS", "")]), (Dict::new(), vec![]));
        assert_eq!(listening(&[("PORT".into(), String::new())]), None);
    }

    #[test]
    fn an_unknown_variable_is_named_with_the_nearest_one() {
        let (_, problems) = read(&[("STACK_WORKER", "4"), ("STACK_workers", "4"), ("STACK_COLOUR", "red")]);
        assert_eq!(
            problems,
            [
                "environment variable STACK_WORKER: no such key\n    hint: did you mean `STACK_WORKERS`?",
                "environment variable STACK_workers: no such key\n    hint: did you mean `STACK_WORKERS`?",
                "environment variable STACK_COLOUR: no such key\n    hint: `stack config` lists all keys",
            ]
        );
    }

    #[test]
    fn variables_of_others_with_the_same_prefix_are_left_alone() {
        let others = [
            ("STACK_SERVICE_HOST", "10.0.0.1"),
            ("STACK_SERVICE_PORT_HTTP", "80"),
            ("STACK_WEB_SERVICE_PORT", "80"),
            ("STACK_PORT", "tcp://10.0.0.1:80"),
            ("STACK_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("STACK_WEB_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ];
        assert_eq!(read(&others), (Dict::new(), vec![]));
        assert_eq!(read(&[("STACK_PORT", "8000")]).1.len(), 1);
    }
}
