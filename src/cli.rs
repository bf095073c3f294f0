//! The command line. Its flags are the keys of the configuration, made from their table; what a value means is checked
//! there and not here, so a bad value reads the same from a flag, a variable and the file.

use std::{ffi::OsString, os::fd::RawFd};

use clap::{
    Arg, ArgAction, ArgMatches, Command, ValueHint,
    builder::{PossibleValue, StringValueParser, TypedValueParser, ValueParser},
    error::{ContextKind, ContextValue, ErrorKind},
    value_parser,
};
use clap_complete::Shell;
use stack_config::{Key, Kind, Preset, keys};

/// Name of the executable.
pub(crate) const NAME: &str = "stack";

/// The subcommand that this program starts itself with, to try something in a throw-away process. It is not for people,
/// so clap does not know it and no help shows it.
pub(crate) const PROBE: &str = "probe";

/// The subcommand with which the parent starts a server process: the number of a descriptor follows, then the options of
/// `serve`. It is not for people either.
pub(crate) const SERVER: &str = "server";

/// The subcommand that runs the server.
pub(crate) const SERVE: &str = "serve";

/// The one that runs it under the profile of its own name.
pub(crate) const DEV: &str = "dev";
const PROFILE: &str = "profile";
const DOCTOR: &str = "doctor";
/// The flag of `doctor` that is no key.
const JSON: &str = "json";

const STATUS: &str = "status";
const RELOAD: &str = "reload";
const STOP: &str = "stop";
/// The flag of `stop`.
const NOW: &str = "now";

const CA: &str = "ca";
/// The flag of `ca`, and its subcommand.
const PRINT: &str = "print";
const TRUST: &str = "trust";

const ABOUT: &str = "One binary that serves a Python web application, in place of nginx and gunicorn";

const LAYERS: &str = "\
Every option is also a key of the configuration file and an environment variable: --log-level is log_level in the file
and STACK_LOG_LEVEL in the environment. The flag wins over the variable, the variable over the file, the file over the
default.

Durations are written 30s, 1m30s or 500ms; a plain number is seconds. Sizes are written 64KiB, 64k, 16M or 1G, all
1024-based; a plain number is bytes.";

const EXAMPLES: &str = "\
Examples:
  stack serve                                        the application in this directory
  stack serve --app shop.wsgi --static ./public      a Django project with its static files
  stack serve --app 'app:create_app()' --bind :8080  a factory, on every IPv4 address
  stack dev                                          the same on a laptop: reloads when a file is saved
  stack check                                        try everything short of serving
  stack reload                                       the new code, without losing a request
  stack doctor                                       in which isolation the application runs, and why
  stack config                                       what is in force, and where it is from
  stack ca                                           how browsers come to trust --tls self-signed";

const EXIT_CODES: &str = "\
Exit codes: 0 after a clean end, 64 for bad usage or configuration, 1 for a failed start.";

/// The subcommand with which a server starts its worker processes.
pub(crate) const WORKER: &str = "worker";

/// The subcommands that take the configuration.
const CONFIGURED: [(&str, &str); 8] = [
    (SERVE, "Run the server"),
    (DEV, "Run the server under the profile dev: serve --profile dev"),
    ("check", "Try everything short of serving: configuration, Python, application"),
    (DOCTOR, "Tell whether the application runs, in which isolation and why, and what it takes"),
    ("config", "Show the configuration that is in force, and where each value is from"),
    (STATUS, "Tell how the server of this configuration is"),
    (RELOAD, "Put a new server in the place of the running one, without losing a request"),
    (STOP, "Stop the server: no new connections, requests in flight are finished"),
];

/// Key and values of each flag that was given.
pub(crate) type Flags = Vec<(String, Vec<String>)>;

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// Run the server.
    Serve(Flags),
    /// Be the server process of a parent.
    Server {
        /// The number of the control connection's descriptor.
        control: RawFd,
        /// The configuration.
        flags: Flags,
    },
    /// Try everything short of serving.
    Check(Flags),
    /// Tell whether and how the application runs.
    Doctor {
        /// The configuration.
        flags: Flags,
        /// As JSON.
        json: bool,
    },
    /// Show the configuration.
    Config(Flags),
    /// Ask the supervisor of this configuration.
    Ask {
        /// For what.
        command: Asked,
        /// The configuration.
        flags: Flags,
        /// As JSON.
        json: bool,
    },
    /// Show the local certificate authority.
    Ca(CaAction),
    /// Print a completion script.
    Completions(Shell),
    /// Print the manual page.
    Man,
    /// Try something, on behalf of another process of this program.
    Probe,
    /// Be a worker process.
    Worker,
}

/// What a supervisor is asked for.
pub(crate) use stack_supervisor::command::Command as Asked;

/// What is to be done with the local certificate authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaAction {
    /// Say where it is and how to trust it.
    Instructions,
    /// Print its certificate.
    Print,
    /// Trust it.
    Trust,
}

/// Reads the command line. Help and version come as errors too, with the text to print.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|name| name == PROBE) && arguments.len() == 2 {
        return Ok(Invocation::Probe);
    }
    if let Some((control, arguments)) = as_server(&arguments) {
        let Invocation::Serve(flags) = parse(arguments)? else { unreachable!("the subcommand is serve") };
        return Ok(Invocation::Server { control, flags });
    }
    let mut matches =
        command().try_get_matches_from(&arguments).map_err(|error| with_better_suggestion(error, &arguments))?;
    let (name, matches) = matches.remove_subcommand().expect("clap requires one");
    Ok(match name.as_str() {
        SERVE => Invocation::Serve(flags(matches)),
        DEV => Invocation::Serve(in_development(flags(matches))?),
        "check" => Invocation::Check(flags(matches)),
        DOCTOR => Invocation::Doctor { json: matches.get_flag(JSON), flags: flags(matches) },
        "config" => Invocation::Config(flags(matches)),
        STATUS => asked(Asked::Status, matches),
        RELOAD => asked(Asked::Reload, matches),
        STOP => asked(Asked::Stop { at_once: matches.get_flag(NOW) }, matches),
        CA if matches.subcommand_name() == Some(TRUST) => Invocation::Ca(CaAction::Trust),
        CA if matches.get_flag(PRINT) => Invocation::Ca(CaAction::Print),
        CA => Invocation::Ca(CaAction::Instructions),
        "completions" => Invocation::Completions(*matches.get_one("shell").expect("clap requires it")),
        "man" => Invocation::Man,
        WORKER => Invocation::Worker,
        other => unreachable!("clap knows no subcommand {other}"),
    })
}

fn asked(command: Asked, matches: ArgMatches) -> Invocation {
    Invocation::Ask { command, json: matches.get_flag(JSON), flags: flags(matches) }
}

/// The options of `dev` as those of `serve`: a profile of its own choice is a contradiction.
fn in_development(mut flags: Flags) -> Result<Flags, clap::Error> {
    let given = flags.iter().find(|(name, _)| name == PROFILE).and_then(|(_, values)| values.last());
    match given.map(String::as_str) {
        None => flags.push((PROFILE.to_owned(), vec![DEV.to_owned()])),
        Some(DEV) => {}
        Some(other) => {
            let text = format!(
                "--profile {other}: stack dev is stack serve under the profile dev\n\n  tip: write stack serve --profile {other}\n"
            );
            return Err(command().error(ErrorKind::ArgumentConflict, text));
        }
    }
    Ok(flags)
}

/// The options with which the server processes of this command line are started.
pub(crate) fn of_server(arguments: &[OsString]) -> Vec<OsString> {
    // The name of the program and that of the subcommand.
    let (before, options) = arguments.split_at(arguments.len().min(2));
    let profile = before.get(1).is_some_and(|name| name == DEV).then(|| ["--profile".into(), DEV.into()]);
    profile.into_iter().flatten().chain(options.iter().cloned()).collect()
}

/// The command line of a server process as one of `serve`, and the number of its descriptor.
fn as_server(arguments: &[OsString]) -> Option<(RawFd, Vec<OsString>)> {
    let [program, name, control, flags @ ..] = arguments else { return None };
    let control = control.to_str().filter(|_| name == SERVER)?.parse().ok()?;
    let serve = [program.clone(), SERVE.into()].into_iter().chain(flags.iter().cloned());
    Some((control, serve.collect()))
}

/// The command with its subcommands.
pub(crate) fn command() -> Command {
    let shell = Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell));
    let configured = CONFIGURED.map(|(name, about)| match name {
        DOCTOR | STATUS | RELOAD => configured(name, about).defer(|command| options(command).arg(json_flag())),
        STOP => configured(name, about).defer(|command| options(command).arg(json_flag()).arg(now_flag())),
        _ => configured(name, about).defer(options),
    });
    root().subcommand_required(true).arg_required_else_help(true).subcommands(configured).subcommands([
        ca(),
        Command::new("completions").about("Print a script that completes this command line").arg(shell),
        Command::new("man").about("Print the manual page"),
        Command::new(WORKER).about("Run the application for a server, which starts this").hide(true),
    ])
}

/// The command as its one manual page shows it: with the options that `serve`, `check`, `doctor` and `config` share.
pub(crate) fn manual() -> Command {
    let about = format!(
        "{ABOUT}.\n\nserve, dev, check, doctor, config, status, reload and stop take all the options; doctor, status, reload and stop also take --json. {LAYERS}"
    );
    command().long_about(about).args(keys().iter().map(flag))
}

fn root() -> Command {
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .max_term_width(120)
        .after_help(EXAMPLES)
        .after_long_help(format!("{EXAMPLES}\n\n{LAYERS}\n\n{EXIT_CODES}"))
}

fn configured(name: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(about)
        .override_usage(format!("{NAME} {name} [OPTIONS]"))
        .after_help(EXAMPLES)
        .after_long_help(format!("{EXAMPLES}\n\n{LAYERS}\n\n{EXIT_CODES}"))
}

/// The options of the configuration. They are many, and made for the one subcommand that is used.
fn options(command: Command) -> Command {
    command.args(keys().iter().map(flag)).args(keys().iter().filter_map(no_flag))
}

fn json_flag() -> Arg {
    Arg::new(JSON).long(JSON).help("Print the findings as JSON").action(ArgAction::SetTrue)
}

fn now_flag() -> Arg {
    Arg::new(NOW).long(NOW).help("Do not wait for requests in flight").action(ArgAction::SetTrue)
}

fn ca() -> Command {
    let print = Arg::new(PRINT).long(PRINT).help("Print the certificate in PEM format").action(ArgAction::SetTrue);
    let trust = Command::new(TRUST)
        .about("Trust it in this system and this user's browsers, as far as that can be done from here");
    Command::new(CA)
        .about("Show the local certificate authority of --tls self-signed, and how to trust it")
        .arg(print)
        .subcommand(trust)
}

fn flag(key: &'static Key) -> Arg {
    let sources = format!("[env: {}] [default: {}]", key.variable(), key.default_text());
    let again = if key.repeatable { "Can be given several times; in the environment, commas separate." } else { "" };
    let details = [key.details, again].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ");
    let long = if details.is_empty() { String::new() } else { format!("\n\n{details}") };
    let argument = Arg::new(key.name)
        .long(key.flag())
        .value_name(key.value_name)
        .help(format!("{} {sources}", key.help))
        .long_help(format!("{}{long}\n\n{sources}", key.help))
        .help_heading(key.heading)
        .action(if key.repeatable { ArgAction::Append } else { ArgAction::Set })
        .allow_negative_numbers(true)
        .value_parser(parser(key.kind))
        .value_hint(match key.kind {
            Kind::File => ValueHint::FilePath,
            Kind::Directory => ValueHint::DirPath,
            Kind::Text | Kind::Word(_) | Kind::Switch | Kind::Count | Kind::Duration | Kind::Size => ValueHint::Other,
        });
    match key.kind {
        // The flag alone is enough, and what follows it is not its value.
        Kind::Switch => argument.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => argument,
    }
}

/// `--no-supervisor`: turns off what is on by default. Not in the help, where it would double these options.
fn no_flag(key: &'static Key) -> Option<Arg> {
    let is_on = key.kind == Kind::Switch && key.presets.contains(&Preset::Value("true"));
    let argument = || {
        Arg::new(no(key))
            .long(format!("no-{}", key.flag()))
            .action(ArgAction::SetTrue)
            .hide(true)
            .conflicts_with(key.name)
    };
    is_on.then(argument)
}

fn no(key: &Key) -> String {
    format!("no_{}", key.name)
}

fn parser(kind: Kind) -> ValueParser {
    match kind {
        Kind::Word(words) => ValueParser::new(Words(words)),
        Kind::Switch => ValueParser::new(Words(&["true", "false"])),
        _ => ValueParser::string(),
    }
}

/// Shows the words in the help and completes them, and leaves it to the configuration to refuse others.
#[derive(Clone, Copy, Debug)]
struct Words(&'static [&'static str]);

impl TypedValueParser for Words {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

fn flags(mut matches: ArgMatches) -> Flags {
    let given = keys().iter().filter_map(|key| {
        let is_off = matches.try_get_one(&no(key)).ok().flatten().is_some_and(|is_off| *is_off);
        let values = if is_off { vec!["false".to_owned()] } else { matches.remove_many(key.name)?.collect() };
        Some((key.name.to_owned(), values))
    });
    given.collect()
}

/// The table knows what other servers call a key; clap only compares letters. A word without dashes is the application,
/// as gunicorn has it.
fn with_better_suggestion(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let configured = arguments.get(1).is_some_and(|name| CONFIGURED.iter().any(|(known, _)| name == known));
    if configured
        && error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(written)) = error.get(ContextKind::InvalidArg)
    {
        let suggestion = match written.strip_prefix("--") {
            Some(name) => Key::nearest(name).map(|key| format!("--{}", key.flag())),
            None => Some(format!("--app {written}")).filter(|_| !written.starts_with('-')),
        };
        if let Some(suggestion) = suggestion {
            error.insert(ContextKind::SuggestedArg, ContextValue::String(suggestion));
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    fn help(line: &str) -> String {
        parsed(line).unwrap_err().to_string()
    }

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
        manual().debug_assert();
    }

    #[test]
    fn help_shows_every_key_with_its_variable_and_default() {
        for line in ["stack serve --help", "stack serve -h", "stack check --help", "stack config --help"] {
            // Wrapping puts line breaks and indentation between the words.
            let text = help(line).split_whitespace().collect::<Vec<_>>().join(" ");
            for key in keys() {
                let sources = format!("[env: {}] [default: {}]", key.variable(), key.default_text());
                let value = if key.kind == Kind::Switch { "[=<" } else { " <" };
                for part in [format!("--{}{value}", key.flag()), key.help.to_owned(), sources] {
                    assert!(text.contains(&part), "{line}: {part}");
                }
            }
        }
    }

    #[test]
    fn flags_become_keys_with_their_values() {
        let Invocation::Serve(flags) =
            parsed("stack serve --bind :1 --log-level=loud --bind unix:/a --queue-size -1").unwrap()
        else {
            panic!("serve")
        };
        let expected = [("bind", vec![":1", "unix:/a"]), ("queue_size", vec!["-1"]), ("log_level", vec!["loud"])];
        let expected: Flags = expected
            .into_iter()
            .map(|(key, values)| (key.to_owned(), values.into_iter().map(str::to_owned).collect()))
            .collect();
        assert_eq!(flags, expected);
    }

    #[test]
    fn dev_is_serve_under_its_profile() {
        let dev = || vec![("profile".to_owned(), vec!["dev".to_owned()])];
        assert_eq!(parsed("stack dev").unwrap(), Invocation::Serve(dev()));
        assert_eq!(parsed("stack dev").unwrap(), parsed("stack serve --profile dev").unwrap());
        assert_eq!(parsed("stack dev --profile dev").unwrap(), Invocation::Serve(dev()));
        let text = help("stack dev --profile prod");
        assert!(text.contains("--profile prod") && text.contains("stack serve --profile prod"), "{text}");
        let of_server = |line: &str| of_server(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(of_server("stack dev --bind :1"), ["--profile", "dev", "--bind", ":1"]);
        assert_eq!(of_server("stack serve --bind :1"), ["--bind", ":1"]);
    }

    #[test]
    fn a_switch_needs_no_value_and_takes_one_behind_an_equals_sign() {
        for (line, value) in [("--preload", "true"), ("--preload=false", "false"), ("--preload=perhaps", "perhaps")] {
            let expected = vec![("preload".to_owned(), vec![value.to_owned()])];
            assert_eq!(parsed(&format!("stack serve {line}")).unwrap(), Invocation::Serve(expected), "{line}");
        }
        let text = help("stack serve --preload app:wsgi");
        assert!(text.contains("'--app app:wsgi'"), "{text}");
    }

    #[test]
    fn what_is_on_by_default_can_be_turned_off() {
        let expected = vec![("supervisor".to_owned(), vec!["false".to_owned()])];
        assert_eq!(parsed("stack serve --no-supervisor").unwrap(), Invocation::Serve(expected));
        assert!(parsed("stack serve --no-supervisor --supervisor").is_err());
        assert!(parsed("stack serve --no-preload").is_err());
        assert!(!help("stack serve --help").contains("  --no-http2"));
    }

    #[test]
    fn a_server_process_has_a_descriptor_and_the_options_of_serve() {
        let expected = Invocation::Server { control: 7, flags: vec![("threads".to_owned(), vec!["2".to_owned()])] };
        assert_eq!(parsed("stack server 7 --threads 2").unwrap(), expected);
        for line in ["stack server", "stack server x", "stack server --threads 2", "stack server 7 --nonsense"] {
            assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
        }
    }

    #[test]
    fn the_doctor_answers_in_json() {
        let expected = vec![("threads".to_owned(), vec!["2".to_owned()])];
        let line = "stack doctor --json --threads 2";
        assert_eq!(parsed(line).unwrap(), Invocation::Doctor { flags: expected, json: true });
        assert_eq!(parsed("stack doctor").unwrap(), Invocation::Doctor { flags: Vec::new(), json: false });
        assert!(parsed("stack check --json").is_err());
    }

    #[test]
    fn the_supervisor_is_asked_with_the_options_of_serve() {
        let flags = vec![("control_socket".to_owned(), vec!["/run/a".to_owned()])];
        let expected = Invocation::Ask { command: Asked::Stop { at_once: true }, flags, json: true };
        assert_eq!(parsed("stack stop --json --now --control-socket /run/a").unwrap(), expected);
        let expected = Invocation::Ask { command: Asked::Reload, flags: Vec::new(), json: false };
        assert_eq!(parsed("stack reload").unwrap(), expected);
        assert!(parsed("stack reload --now").is_err());
    }

    #[test]
    fn a_dash_is_a_value() {
        let expected = vec![("access_log".to_owned(), vec!["-".to_owned()])];
        assert_eq!(parsed("stack config --access-log -").unwrap(), Invocation::Config(expected));
    }

    #[test]
    fn a_flag_of_another_server_finds_ours() {
        let text = help("stack serve --timeout 5");
        assert!(text.contains("'--request-timeout'"), "{text}");
        let text = help("stack serve --work 5");
        assert!(text.contains("'--workers'"), "{text}");
        let text = help("stack serve app:wsgi");
        assert!(text.contains("'--app app:wsgi'"), "{text}");
    }

    #[test]
    fn help_and_version_are_no_errors_and_a_bad_line_is() {
        for line in ["stack --help", "stack --version", "stack help serve"] {
            assert!(!parsed(line).unwrap_err().use_stderr(), "{line}");
        }
        for line in ["stack", "stack serve --nonsense", "stack fly", "stack serve app", "stack --bind :1 serve"] {
            assert!(parsed(line).unwrap_err().use_stderr(), "{line}");
        }
    }
}
