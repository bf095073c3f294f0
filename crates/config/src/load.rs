//! From the sources to a checked configuration.

use std::path::{Path, PathBuf};

use crate::{
    Config, ControlSocket, Errors,
    check::{Checked, check},
    error::{Problem, Reason},
    explain::{self, Explained, ExplainedSite},
    keys,
    layers::Layers,
    origin::Origin,
};

/// Where a configuration comes from. Beyond it, only the files are read that are named in it, host names are resolved,
/// and `$NAME` in an `env_file` looks into the environment of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// Key and values of each flag that was given, in order.
    pub flags: Vec<(String, Vec<String>)>,
    /// The environment, with the variables of others in it.
    pub environment: Vec<(String, String)>,
    /// Where relative paths begin, absolute.
    pub current_dir: PathBuf,
}

/// A checked configuration, and where its values are from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the rest of the program works with.
    pub config: Config,
    /// Where each key's value is from, in the order of [`keys`](crate::keys()); of a key with several values, the first.
    pub origins: Vec<(&'static str, Origin)>,
    file: Option<PathBuf>,
    env_file: Option<PathBuf>,
    sites: Vec<ExplainedSite>,
}

impl Loaded {
    /// The file that was read, as it was named.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The files that were read: the configuration's own, and `env_file`.
    pub fn files(&self) -> Vec<&Path> {
        self.file.iter().chain(&self.env_file).map(PathBuf::as_path).collect()
    }

    /// Each key of the file with its effective value and origin, in the order of [`keys`](crate::keys()).
    pub fn explain(&self) -> Vec<Explained> {
        explain::explain(&self.config, self.env_file.as_deref(), &self.origins)
    }
}

impl Loaded {
    /// The `[[site]]` sections of the file, each with the keys that it sets.
    pub fn explain_sites(&self) -> &[ExplainedSite] {
        &self.sites
    }
}

/// What is needed to find the supervisor of a server that runs already.
#[derive(Debug)]
pub struct Located {
    /// Where it takes commands.
    pub control_socket: ControlSocket,
    /// The configuration file, as it was named.
    pub file: Option<PathBuf>,
    /// What is wrong with the rest of the configuration, if something is.
    pub errors: Option<Errors>,
}

/// Reads all sources and checks every value. All problems are found in one go.
pub fn load(inputs: Inputs) -> Result<Loaded, Errors> {
    let (layers, Checked { config, env_file }, problems) = read(inputs)?;
    if !problems.is_empty() {
        return Err(Errors::sorted(problems));
    }
    let origins = keys().iter().map(|key| (key.name, layers.origin(key, 0))).collect();
    let sites = explain::explain_sites(&config.sites.sections, layers.sites());
    Ok(Loaded { config, origins, file: layers.file().map(Path::to_path_buf), env_file, sites })
}

/// The same for who only wants to talk to a server that runs already: what is wrong with other keys of the file or of the
/// environment does not matter to that. A wrong flag does, since it was written for this.
pub fn locate(inputs: Inputs) -> Result<Located, Errors> {
    let (layers, Checked { config, env_file: _ }, problems) = read(inputs)?;
    let matters = |problem: &Problem| {
        matches!(problem.origin, Origin::Flag(_)) || matches!(problem.name.as_str(), "config" | "control_socket")
    };
    if problems.iter().any(matters) {
        return Err(Errors::sorted(problems));
    }
    Ok(Located {
        control_socket: config.lifecycle.control_socket,
        file: layers.file().map(Path::to_path_buf),
        errors: (!problems.is_empty()).then(|| Errors::sorted(problems)),
    })
}

/// Reads all sources. Where there are problems there are placeholders in the configuration.
fn read(inputs: Inputs) -> Result<(Layers, Checked, Vec<Problem>), Errors> {
    let Inputs { flags, environment, current_dir } = inputs;
    let mut problems = Vec::new();
    let layers = Layers::read(&flags, &environment, current_dir, &mut problems);
    let raw = match layers.raw() {
        Ok(raw) => raw,
        Err(error) => {
            // The layers let no value through that this could refuse; should one slip by, it is said and not lost.
            let origin = error.metadata.as_ref().map_or_else(String::new, |metadata| metadata.name.to_string());
            let reason = Reason::Layers(error);
            problems.push(Problem::with_name(Origin::Environment(origin), "", reason));
            return Err(Errors::sorted(problems));
        }
    };
    let checked = check(raw, &layers, &environment, &mut problems);
    Ok((layers, checked, problems))
}

#[cfg(test)]
mod tests;
