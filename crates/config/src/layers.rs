//! The sources of the configuration, one over the other.
//!
//! Defaults of the profile, then `LISTEN_FDS` or `PORT`, the file, the environment, the flags. Each source is checked here for keys that
//! do not exist and values of the wrong form; what a value means is not known here.

mod environment;
mod file;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Provider,
    value::{Dict, Map, Value},
};

use crate::{
    Profile,
    error::{Problem, Reason},
    keys::{self, Key, Preset},
    origin::Origin,
    raw::Raw,
};

pub(crate) use file::{File, SiteSection};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "stack.toml";

/// One source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Defaults,
    /// Variables of the platform or the service manager.
    Listening,
    File,
    Environment,
    Flags,
}

impl Layer {
    /// How figment remembers which values are from here.
    fn name(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::Listening => "listening",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flags => "flags",
        }
    }
}

/// The values of one source.
struct Source {
    layer: Layer,
    values: Dict,
}

impl Provider for Source {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.layer.name())
    }

    fn data(&self) -> Result<Map<figment::Profile, Dict>, figment::Error> {
        Ok(Map::from([(figment::Profile::Default, self.values.clone())]))
    }
}

/// All sources together.
#[derive(Debug)]
pub(crate) struct Layers {
    merged: Figment,
    /// Where each value is from that was written somewhere. (Figment knows as well, but merges everything for each answer.)
    written: HashMap<String, Layer>,
    file: Option<(PathBuf, File)>,
    config_origin: Origin,
    profile: Profile,
    current_dir: PathBuf,
    /// The variable that the lowest layer is from.
    listening: &'static str,
}

impl Layers {
    /// Reads every source. A key that does not exist or has a value of the wrong form goes to `problems` and is left
    /// out.
    pub(crate) fn read(
        flags: &[(String, Vec<String>)],
        environment: &[(String, String)],
        current_dir: PathBuf,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut flags = flag_values(flags, problems);
        let mut variables = environment::values(environment, problems);
        let config = keys::find("config").expect("in the table");
        let from_flag = flags.remove(config.name);
        let from_variable = variables.remove(config.name);
        let (named, config_origin) = match (&from_flag, &from_variable) {
            (Some(value), _) => (value.as_str(), Origin::flag(config)),
            (None, Some(value)) => (value.as_str(), Origin::variable(config)),
            (None, None) => (None, Origin::Default(None)),
        };
        let path = match named {
            Some(path) => Some(PathBuf::from(path)),
            None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| current_dir.join(path).exists()),
        };
        let file = path.and_then(|path| match File::read(&path, &current_dir, problems) {
            Ok(file) => Some((path, file)),
            Err(reason) => {
                let written = path.display().to_string();
                problems.push(Problem::with_value(config_origin.clone(), config, written, reason));
                None
            }
        });

        let in_file = file.as_ref().map(|(_, file)| file.values.clone()).unwrap_or_default();
        let listening = environment::listening(environment);
        let values = listening.clone().map(|(_, binds)| ("bind".to_owned(), Value::from(binds)));
        let listening = listening.map_or("PORT", |(name, _)| name);
        let sources = [
            Source { layer: Layer::Listening, values: values.into_iter().collect() },
            Source { layer: Layer::File, values: in_file },
            Source { layer: Layer::Environment, values: variables },
            Source { layer: Layer::Flags, values: flags },
        ];
        let written =
            |Source { layer, values }: &Source| values.keys().map(|key| (key.clone(), *layer)).collect::<Vec<_>>();
        let written = sources.iter().flat_map(written).collect();
        let merged = sources.into_iter().fold(Figment::new(), Figment::merge);
        // A profile that does not exist is a problem of the check; until then it is `prod`.
        let profile = match merged.find_value("profile").ok().as_ref().and_then(Value::as_str) {
            Some("dev") => Profile::Dev,
            _ => Profile::Prod,
        };
        let merged = merged.join(Source { layer: Layer::Defaults, values: default_values(profile) });
        Self { merged, written, file, config_origin, profile, current_dir, listening }
    }

    /// What the user wrote, one layer over the other.
    pub(crate) fn raw(&self) -> Result<Raw, Box<figment::Error>> {
        self.merged.extract().map_err(Box::new)
    }

    /// Where the value of `key` is from, or the one at `index` if it has several.
    pub(crate) fn origin(&self, key: &'static Key, index: usize) -> Origin {
        if !key.in_file {
            return self.config_origin.clone();
        }
        match (self.layer(key), &self.file) {
            (Layer::File, Some((_, file))) => file.origin(key.name, index),
            (Layer::Listening, _) => Origin::Environment(self.listening.into()),
            (Layer::Environment, _) => Origin::variable(key),
            (Layer::Flags, _) => Origin::flag(key),
            (Layer::Defaults | Layer::File, _) => {
                let [dev, prod] = key.presets;
                Origin::Default(Some(self.profile).filter(|_| dev != prod))
            }
        }
    }

    /// Where a relative path in the value of `key` begins.
    pub(crate) fn base(&self, key: &'static Key) -> &Path {
        match (self.layer(key), &self.file) {
            (Layer::File, Some((_, file))) => &file.directory,
            _ => &self.current_dir,
        }
    }

    /// The `[[site]]` sections of the file.
    pub(crate) fn sites(&self) -> &[SiteSection] {
        self.file.as_ref().map_or(&[], |(_, file)| &file.sites)
    }

    /// Where a relative path in the file begins.
    pub(crate) fn file_directory(&self) -> &Path {
        self.file.as_ref().map_or(&self.current_dir, |(_, file)| &file.directory)
    }

    pub(crate) fn current_dir(&self) -> &Path {
        &self.current_dir
    }

    /// The file that was read, as it was named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    fn layer(&self, key: &Key) -> Layer {
        self.written.get(key.name).copied().unwrap_or(Layer::Defaults)
    }
}

fn default_values(profile: Profile) -> Dict {
    let fixed = keys::keys().iter().filter_map(|key| match key.preset(profile) {
        Preset::Value(value) => Some((key.name.to_owned(), Value::from(value))),
        Preset::Described(_) => None,
    });
    fixed.collect()
}

fn flag_values(flags: &[(String, Vec<String>)], problems: &mut Vec<Problem>) -> Dict {
    let mut values = Dict::new();
    for (name, written) in flags {
        match keys::find(name) {
            Some(key) if key.repeatable => {
                values.insert(name.clone(), Value::from(written.clone()));
            }
            // Of a flag that was given again, the last one counts.
            Some(_) => {
                values.extend(written.last().map(|value| (name.clone(), Value::from(value.as_str()))));
            }
            None => {
                let nearest = Key::nearest(name).map(|key| format!("--{}", key.flag()));
                let origin = Origin::Flag(format!("--{}", name.replace('_', "-")));
                problems.push(Problem::with_name(origin, name, Reason::UnknownKey { nearest }));
            }
        }
    }
    values
}
