//! What is asked of a project's container: flags, variables, and what holds without them.

use super::super::Context;
use crate::environment;
use crate::outcome::Failure;
use rustix::process::{getgid, getuid};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wootz_container::{Kind, Mount, Runtime, Spec, Talk};
use wootz_devbox::{Choice, Entrypoint, ImageState, Project, User, Version, choose, driver};
use wootz_schema::progress::Progress;

/// Where the image's recipe is.
const DOCKERFILE: &str = "container/Dockerfile";
/// CUDA of images that nobody said anything about.
const CUDA: &str = "12.9";
/// Versions of tools that an image's recipe may ask for.
const TOOLS: [&str; 4] = ["BAZEL_VERSION", "GO_VERSION", "PYTHON_VERSION", "RUST_VERSION"];
/// Variables that a container has where the caller has them.
const PASSED: [&str; 4] = ["BAZEL_VERSION", "LANG", "LC_ALL", "TERM"];

/// Which project, and which program has its containers.
#[derive(clap::Args)]
pub struct Place {
    /// The project's folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// By what its folders are known [default: $SYGALDRY_PROJECT_ID, or the folder's name].
    #[arg(long, value_name = "NAME")]
    project_id: Option<String>,
    /// Where the folders of all projects are [default: $SYGALDRY_CONTAINER_ROOT, or ~/.local/share/wootz/containers].
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Where the project is inside.
    #[arg(long, value_name = "PATH", default_value = "/workspace")]
    workspace: String,
    /// The program that has containers [default: podman, else docker].
    #[arg(long, value_name = "PROGRAM", value_parser = ["podman", "docker"])]
    runtime: Option<String>,
    /// The image [default: $SYGALDRY_IMAGE, or wootz/ID:dev; these are built when container/Dockerfile is newer].
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
}

/// What an image is built from.
#[derive(clap::Args)]
pub struct Recipe {
    /// The Dockerfile [default: container/Dockerfile in the project].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The folder of which it copies [default: the Dockerfile's own].
    #[arg(long, value_name = "DIR")]
    context: Option<PathBuf>,
    /// An argument, as KEY=VALUE; BAZEL_VERSION, GO_VERSION, PYTHON_VERSION and RUST_VERSION are also taken from the environment.
    #[arg(long = "build-arg", value_name = "KEY=VALUE", value_parser = pair)]
    arguments: Vec<(String, String)>,
    /// The platform, as linux/arm64.
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
    /// The stage at which it ends.
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
}

/// What is asked of a container.
#[derive(clap::Args)]
pub struct Wanted {
    #[command(flatten)]
    place: Place,
    /// A script of the project (container/entrypoints/NAME.sh) or of wootz: default, run-job, verify-gpu, hf-download, uv-install, spack-install, spack-build [default: $SYGALDRY_ENTRYPOINT, or default].
    #[arg(long, short, value_name = "NAME")]
    entrypoint: Option<String>,
    /// GPUs: auto, all, none, or a list as CUDA_VISIBLE_DEVICES has it [default: auto; none with SYGALDRY_GPU=false].
    #[arg(long, value_name = "LIST")]
    gpus: Option<String>,
    /// CUDA that the driver must be able to do for a container to have GPUs [default: $SYGALDRY_REQUIRED_CUDA_VERSION, or 12.9].
    #[arg(long, value_name = "VERSION")]
    cuda: Option<String>,
    /// A further folder or file, as OUTSIDE:INSIDE or OUTSIDE:INSIDE:ro.
    #[arg(long, value_name = "PATHS", value_parser = mount)]
    mount: Vec<Mount>,
    /// A variable, as NAME=VALUE, or NAME alone: the caller's, whose value stands on no command line. HF_TOKEN is passed so.
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,
    /// As whom: me, image (as the image says), or UID:GID.
    #[arg(long, value_name = "WHO", default_value = "me")]
    user: String,
    /// Where it starts [default: the workspace].
    #[arg(long, value_name = "PATH")]
    folder: Option<String>,
    /// Name of the container [default: wootz-ID and a number].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Most memory, as 16g.
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// CPU cores.
    #[arg(long, value_name = "N")]
    cpus: Option<String>,
    /// Most processes at once.
    #[arg(long, value_name = "N")]
    pids: Option<u32>,
    /// Its network.
    #[arg(long, value_name = "NAME", default_value = "host")]
    network: String,
    /// Whose shared memory it has.
    #[arg(long, value_name = "NAME", default_value = "host")]
    ipc: String,
    /// The project and --mount alone: no shared folders and no entry points; the command is run as it is.
    #[arg(long, conflicts_with = "entrypoint")]
    bare: bool,
    /// Print the commands in place of running them.
    #[arg(long)]
    pub dry_run: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it is no KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn mount(text: &str) -> Result<Mount, String> {
    let (paths, is_writable) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, false),
        None => (text.strip_suffix(":rw").unwrap_or(text), true),
    };
    match paths.split_once(':') {
        Some((outside, inside)) if !outside.is_empty() && inside.starts_with('/') => {
            let outside = std::path::absolute(outside).map_err(|error| error.to_string())?;
            let (outside, inside) = (outside.to_string_lossy().into_owned(), inside.to_owned());
            Ok(Mount { outside, inside, is_writable })
        }
        _ => Err("it is no OUTSIDE:INSIDE, of which the second begins with /".to_owned()),
    }
}

impl Place {
    /// The project.
    pub fn project(&self) -> Result<Project, Failure> {
        let folder = self.project.canonicalize();
        let folder = folder.map_err(|error| Failure::io("find the project", &self.project, &error))?;
        let own = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let id = self.project_id.clone().or_else(|| environment::CONTAINER_PROJECT.text()).or_else(own);
        let id = id.unwrap_or_else(|| "root".to_owned());
        if matches!(id.as_str(), "." | "..") || id.contains('/') {
            return Err(Failure::usage(
                format!("use the project id {id}"),
                "it is the name of a folder: give one without /",
            ));
        }
        let root = self.root.clone().or_else(|| environment::CONTAINER_ROOT.get().map(PathBuf::from));
        let root = root.unwrap_or_else(environment::containers);
        let root = std::path::absolute(&root).map_err(|error| Failure::io("find", &root, &error))?;
        Ok(Project { folder, id, root, workspace: self.workspace.clone() })
    }

    /// The program that has containers; where nothing is run it need not be there.
    pub fn runtime(&self, is_dry: bool) -> Result<Runtime, Failure> {
        let kind = self.runtime.as_deref().map(|name| match name {
            "docker" => Kind::Docker,
            _ => Kind::Podman,
        });
        let found = Runtime::find(kind, &environment::search_path());
        let kind = kind.unwrap_or(found.as_ref().map_or(Kind::Podman, |found| found.kind));
        match is_dry {
            // By its name: where it is on this machine says nothing.
            true => Ok(Runtime { kind, program: PathBuf::from(kind.name()) }),
            false => Ok(found?),
        }
    }

    /// The image.
    pub fn image(&self, project: &Project) -> String {
        let given = self.image.clone().or_else(|| environment::CONTAINER_IMAGE.text());
        given.unwrap_or_else(|| format!("wootz/{}:dev", project.plain_id()))
    }
}

impl Recipe {
    fn none() -> Recipe {
        Recipe { file: None, context: None, arguments: Vec::new(), platform: None, target: None }
    }

    /// What the image is built from.
    pub fn read(&self, project: &Project) -> wootz_devbox::Recipe {
        let file = self.file.clone().unwrap_or_else(|| project.folder.join(DOCKERFILE));
        let own = || file.parent().unwrap_or(Path::new(".")).to_owned();
        let context = self.context.clone().unwrap_or_else(own);
        let set = TOOLS.iter().filter_map(|name| Some(((*name).to_owned(), environment::text(name)?)));
        let arguments = set.chain(self.arguments.iter().cloned()).collect();
        let (platform, target) = (self.platform.clone(), self.target.clone());
        // As its containers have it.
        let network = Some("host".to_owned());
        wootz_devbox::Recipe { file, context, arguments, platform, target, network }
    }
}

/// A container that can be made.
pub struct Ready {
    pub project: Project,
    pub runtime: Runtime,
    pub spec: Spec,
    /// The words that build its image first.
    pub build: Option<Vec<String>>,
    is_bare: bool,
}

impl Ready {
    /// Puts together what is asked for.
    pub fn new(wanted: &Wanted, argv: &[String], talk: Talk, context: &Context) -> Result<Ready, Failure> {
        let project = wanted.place.project()?;
        let runtime = wanted.place.runtime(wanted.dry_run)?;
        let own = || format!("wootz-{}-{}", project.plain_id(), std::process::id());
        let mut spec = Spec {
            name: wanted.name.clone().unwrap_or_else(own),
            labels: BTreeMap::from([("wootz.project".to_owned(), project.id.clone())]),
            image: wanted.place.image(&project),
            argv: argv.to_vec(),
            folder: wanted.folder.clone(),
            memory: wanted.memory.clone(),
            cpus: wanted.cpus.clone(),
            pids: wanted.pids,
            network: Some(wanted.network.clone()),
            ipc: Some(wanted.ipc.clone()),
            has_init: true,
            talk,
            ..Spec::default()
        };
        project.show(&mut spec);
        let user = user();
        if wanted.bare {
            // In place of what the image would run; a home that every user may write to.
            if let Some((first, rest)) = argv.split_first() {
                (spec.entrypoint, spec.argv) = (Some(first.clone()), rest.to_vec());
            }
            spec.env.insert("HOME".to_owned(), "/tmp".to_owned());
        } else {
            let name = wanted.entrypoint.clone().or_else(|| environment::CONTAINER_ENTRYPOINT.text());
            let name = name.as_deref().unwrap_or("default");
            // Short flags are also written as -e=NAME.
            let name = name.strip_prefix('=').unwrap_or(name);
            spec.entrypoint = Some(Entrypoint::find(&project, name)?.inside);
            project.equip(&mut spec, &user);
        }
        match wanted.user.as_str() {
            "me" => user.enter(&mut spec, runtime.kind),
            "image" => {}
            other => spec.user = Some(other.to_owned()),
        }
        spec.mounts.extend(wanted.mount.iter().cloned());
        wanted.variables(&mut spec);
        wanted.gpus(&mut spec, context)?;
        let build = wanted.build(&project, &runtime, &spec.image)?;
        Ok(Ready { project, runtime, spec, build, is_bare: wanted.bare })
    }

    /// Makes the folders, and the image where it is missing.
    pub fn prepare(&self, context: &Context) -> Result<(), Failure> {
        if !self.is_bare {
            let root = &self.project.root;
            self.project
                .prepare()
                .map_err(|error| Failure::io("make the folders of containers in", root, &error))?;
        }
        self.build.iter().try_for_each(|words| build(&self.runtime, &self.spec.image, words, context))
    }
}

/// Builds an image while people watch.
pub fn build(runtime: &Runtime, image: &str, words: &[String], context: &Context) -> Result<(), Failure> {
    context.observe.observe(Progress::Message(&format!("{image}: being built")));
    Ok(runtime.watched(&format!("build the image {image}"), words)?)
}

fn user() -> User {
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let unnamed = || if uid == 0 { "root".to_owned() } else { format!("user{uid}") };
    User { uid, gid, name: environment::text("USER").unwrap_or_else(unnamed) }
}

impl Wanted {
    fn variables(&self, spec: &mut Spec) {
        for name in PASSED {
            spec.env.extend(environment::text(name).map(|value| (name.to_owned(), value)));
        }
        for given in &self.env {
            if let Some((name, value)) = given.split_once('=') {
                spec.env.insert(name.to_owned(), value.to_owned());
            }
        }
        let named = self.env.iter().map(String::as_str).filter(|given| !given.contains('='));
        for name in named.chain([environment::HF_TOKEN.name]) {
            spec.secrets.extend(environment::text(name).map(|value| (name.to_owned(), value)));
        }
    }

    fn gpus(&self, spec: &mut Spec, context: &Context) -> Result<(), Failure> {
        let is_off = |value: String| matches!(value.as_str(), "false" | "0" | "no" | "off");
        let choice = match &self.gpus {
            Some(list) => Choice::read(list),
            None if environment::CONTAINER_GPU.text().is_some_and(is_off) => Choice::None,
            None => Choice::Auto,
        };
        let needs = self.cuda.clone().or_else(|| environment::CONTAINER_CUDA.text());
        let needs = needs.as_deref().unwrap_or(CUDA);
        let wrong = || Failure::usage(format!("read the version of CUDA {needs:?}"), "it is as 12.9");
        let needs = Version::read(needs).ok_or_else(wrong)?;
        let visible = environment::visible_gpus();
        let driver = if choice == Choice::None { None } else { driver(&environment::search_path()) };
        let (gpus, told) = choose(&choice, visible.as_deref(), needs, driver)?;
        told.iter().for_each(|line| context.observe.observe(Progress::Message(line)));
        spec.gpus = gpus;
        Ok(())
    }

    /// The words that build the image, where it has to be. One that was asked for by name is never built on the way.
    fn build(
        &self,
        project: &Project,
        runtime: &Runtime,
        image: &str,
    ) -> Result<Option<Vec<String>>, Failure> {
        if self.place.image.is_some() {
            return Ok(None);
        }
        let recipe = Recipe::none().read(project);
        let has_recipe = recipe.file.is_file();
        if self.dry_run {
            return Ok(None);
        }
        let state = match has_recipe {
            true => recipe.state(runtime, image)?,
            false if runtime.has_image(image)? => ImageState::Foreign,
            false => ImageState::Missing,
        };
        match state {
            ImageState::Current | ImageState::Foreign => Ok(None),
            ImageState::Missing | ImageState::Old if has_recipe => Ok(Some(recipe.words(image)?)),
            ImageState::Missing | ImageState::Old => {
                let message = format!(
                    "find the image {image}: it is not on this machine, and there is no {DOCKERFILE} to build it from"
                );
                let hint = "name one that a registry has: --image NAME";
                Err(Failure::usage(message, hint))
            }
        }
    }
}
