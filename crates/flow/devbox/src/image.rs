//! The image of a project, and whether it has to be built: it carries a digest of the file and the arguments that it was built from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use wootz_container::{ContainerError, Runtime};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::digest::sha256;

/// The label that says what an image was built from.
const LABEL: &str = "wootz.recipe";

/// What an image is built from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipe {
    /// The Dockerfile.
    pub file: PathBuf,
    /// The folder of which it copies.
    pub context: PathBuf,
    /// Its arguments.
    pub arguments: BTreeMap<String, String>,
    /// The platform, where it is not the machine's.
    pub platform: Option<String>,
    /// The stage at which it ends.
    pub target: Option<String>,
    /// The network of what it runs, as the runtime names it.
    pub network: Option<String>,
}

/// What there is of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageState {
    /// None.
    Missing,
    /// One of an earlier recipe.
    Old,
    /// One that says nothing of a recipe: somebody else built it.
    Foreign,
    /// One of this recipe.
    Current,
}

/// Why an image could not be had.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The Dockerfile.
    #[error("read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The program that has images.
    #[error(transparent)]
    Container(#[from] ContainerError),
}

impl Diagnose for RecipeError {
    fn exit(&self) -> ExitCode {
        match self {
            RecipeError::Io { source, .. } => exit_of_io(source),
            RecipeError::Container(error) => error.exit(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RecipeError::Io { source, .. } => hint_of_io(source),
            RecipeError::Container(error) => error.hint(),
        }
    }
}

impl Recipe {
    /// What is there under the image's name.
    pub fn state(&self, runtime: &Runtime, image: &str) -> Result<ImageState, RecipeError> {
        if !runtime.has_image(image)? {
            return Ok(ImageState::Missing);
        }
        let digest = self.digest()?;
        Ok(match runtime.image_label(image, LABEL)? {
            Some(label) if label == digest => ImageState::Current,
            Some(_) => ImageState::Old,
            None => ImageState::Foreign,
        })
    }

    fn digest(&self) -> Result<String, RecipeError> {
        let text =
            fs::read(&self.file).map_err(|source| RecipeError::Io { path: self.file.clone(), source })?;
        let rest = format!("\0{:?}\0{:?}\0{:?}", self.arguments, self.platform, self.target);
        Ok(sha256(&[text.as_slice(), rest.as_bytes()].concat()))
    }

    /// The arguments with which the runtime builds it.
    pub fn words(&self, image: &str) -> Result<Vec<String>, RecipeError> {
        let mut words = vec!["build".to_owned()];
        let mut flag = |name: &str, value: &str| words.extend([format!("--{name}"), value.to_owned()]);
        flag("tag", image);
        flag("file", &self.file.to_string_lossy());
        flag("label", &format!("{LABEL}={}", self.digest()?));
        for (key, value) in &self.arguments {
            flag("build-arg", &format!("{key}={value}"));
        }
        for (name, value) in
            [("platform", &self.platform), ("target", &self.target), ("network", &self.network)]
        {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        words.push(self.context.to_string_lossy().into_owned());
        Ok(words)
    }
}
