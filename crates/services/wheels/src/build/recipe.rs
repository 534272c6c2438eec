//! What is run to build a cell and to try its wheel: a pure function of the cell and the settings.

use super::launch::{Launcher, Stage};
use crate::compat::{self, pair, why_not};
use crate::matrix::Cell;
use crate::project;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wootz_container::Mount;

/// How wheels are built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Folder of the wheels; logs are in `logs` below it.
    pub out: PathBuf,
    /// The folder above `cu128` and its like in PyTorch's own index.
    pub torch_index: Option<String>,
    /// The index of everything else; pip's own without it.
    pub index: Option<String>,
    /// The image in which wheels are built, `{cuda}` standing for the version of CUDA.
    pub image: String,
    /// The image in which they are tried.
    pub runtime_image: String,
    /// Most memory of a container.
    pub memory: Option<String>,
    /// Compilers at once.
    pub jobs: u32,
    /// Folder of the compilers' cache.
    pub ccache: Option<PathBuf>,
    /// CUDA architectures, as `TORCH_CUDA_ARCH_LIST` has them; those that the version of CUDA can without it.
    pub archs: Option<String>,
    /// Whether wheels say in their versions what they were built for.
    pub has_labels: bool,
    /// Whether wheels are tried.
    pub is_tried: bool,
    /// Whether wheels that are there are built again.
    pub is_forced: bool,
    /// Network of containers, as the runtime names it.
    pub network: Option<String>,
    /// Variables that pip reads, by their values; they never stand on a command line.
    pub pass: BTreeMap<String, String>,
    /// Further folders and files that containers see.
    pub mounts: Vec<Mount>,
}

/// How one cell is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Minor version of torch, where it is built against one.
    pub torch: Option<String>,
    /// What the wheel's version says beside its number.
    pub label: Option<String>,
    /// What compiles.
    pub build: Stage,
    /// What imports.
    pub smoke: Option<Stage>,
    /// File of all that is said.
    pub log: PathBuf,
}

/// Variables of packages that would rather fetch a wheel than be compiled, or go by a list of their own; in the value `{label}` and
/// `{archs}` are replaced.
const OWN_VARIABLES: [(&str, &[(&str, &str)]); 3] = [
    (
        "flash-attn",
        &[
            ("FLASH_ATTENTION_FORCE_BUILD", "TRUE"),
            ("FLASH_ATTN_LOCAL_VERSION", "{label}"),
            ("FLASH_ATTN_CUDA_ARCHS", "{archs}"),
        ],
    ),
    ("causal-conv1d", &[("CAUSAL_CONV1D_FORCE_BUILD", "TRUE")]),
    ("mamba-ssm", &[("MAMBA_FORCE_BUILD", "TRUE")]),
];

/// How a cell is built, or why it cannot be.
pub fn recipe(cell: &Cell, settings: &Settings, launcher: &Launcher) -> Result<Recipe, String> {
    let (major, minor) = pair(&cell.cuda).ok_or_else(|| format!("{:?} is no version of CUDA", cell.cuda))?;
    let others: Vec<&str> = cell.extra_deps.split_whitespace().filter(|word| !is_torch(word)).collect();
    let needs_torch = cell.torch.is_some() || cell.extra_deps.split_whitespace().any(is_torch);
    let torch = if needs_torch { Some(torch_of(cell)?) } else { None };
    let label = format!(
        "cu{major}{minor}{}",
        torch.as_ref().map(|torch| format!("torch{torch}")).unwrap_or_default()
    );
    let torch_words = match (&torch, &settings.torch_index) {
        (None, _) => None,
        (Some(torch), Some(index)) => {
            let index = format!("{}/cu{major}{minor}", index.trim_end_matches('/'));
            // A whole version is that version; 2.8 is the latest of its patches.
            let pin = match cell.torch.as_deref().filter(|torch| torch.matches('.').count() > 1) {
                Some(exact) => format!("torch=={exact}"),
                None => format!("torch=={torch}.*"),
            };
            Some(format!("--index-url {} {}", quoted(&index), quoted(&pin)))
        }
        (Some(_), None) => {
            return Err("it needs torch, and nobody said where that is: name PyTorch's index of wheels with --torch-index".to_owned());
        }
    };
    let archs = settings.archs.clone().unwrap_or_else(|| archs(major, minor));
    let mut env = environment(settings, &archs, launcher);
    for (_, variables) in OWN_VARIABLES.iter().filter(|(name, _)| *name == project(&cell.package)) {
        for (key, value) in *variables {
            let plain = archs.replace("+PTX", "").replace('.', "");
            env.insert((*key).to_owned(), value.replace("{label}", &label).replace("{archs}", &plain));
        }
    }
    let words = [&project(&cell.package), &cell.version, &cell.python, &cell.cuda];
    let words = words.map(|word| word.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_"));
    let torch_word = torch.as_ref().map(|torch| format!("-torch{torch}")).unwrap_or_default();
    let name = format!("{}{torch_word}", words.join("-"));
    let stage = |what, name, script, image: &str| Stage {
        name,
        what,
        script,
        env: env.clone(),
        secrets: settings.pass.clone(),
        image: image.replace("{cuda}", &cell.cuda),
        mounts: mounts(settings, launcher),
        memory: settings.memory.clone(),
        network: settings.network.clone(),
    };
    let script = build_script(cell, settings, launcher, torch_words.as_deref(), &others);
    let smoke = smoke_script(
        &Tried {
            python: &cell.python,
            torch: torch_words.as_deref(),
            import: &cell.test_import,
            command: &cell.test_command,
        },
        settings,
        launcher,
    );
    let smoke = stage("smoke test", format!("{name}-smoke"), smoke, &settings.runtime_image);
    Ok(Recipe {
        log: settings.out.join("logs").join(format!("{name}.log")),
        build: stage("build", name, script, &settings.image),
        smoke: settings.is_tried.then_some(smoke),
        label: settings.has_labels.then_some(label),
        torch,
    })
}

/// What tries a wheel that nobody here has built.
pub fn smoke_alone(python: &str, import: &str, settings: &Settings, launcher: &Launcher) -> Stage {
    let tried = Tried { python, torch: None, import, command: "" };
    Stage {
        name: format!("smoke-{}", std::process::id()),
        what: "smoke test",
        script: smoke_script(&tried, settings, launcher),
        env: environment(settings, "", launcher),
        secrets: settings.pass.clone(),
        image: settings.runtime_image.clone(),
        mounts: mounts(settings, launcher),
        memory: settings.memory.clone(),
        network: settings.network.clone(),
    }
}

fn is_torch(dependency: &str) -> bool {
    let end = dependency.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_.".contains(letter));
    project(&dependency[..end.unwrap_or(dependency.len())]) == "torch"
}

/// Minor version of the torch that a cell is built against: the cell's, or the newest there is for its CUDA and Python.
fn torch_of(cell: &Cell) -> Result<String, String> {
    let table = compat::table();
    if let Some(why) = why_not(&table, &cell.python, &cell.cuda, cell.torch.as_deref()) {
        return Err(why);
    }
    let text = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    if let Some(version) = cell.torch.as_deref().and_then(pair) {
        return Ok(text(version));
    }
    let fits = |torch: &&compat::Torch| {
        why_not(&table, &cell.python, &cell.cuda, Some(&text(torch.version))).is_none()
    };
    let newest = table.iter().rev().find(fits).map(|torch| text(torch.version));
    newest.ok_or_else(|| format!("there is no torch for CUDA {} and Python {}", cell.cuda, cell.python))
}

/// What the version of CUDA compiles for: every architecture that torch's own builds have, and code for later ones.
fn archs(major: u32, minor: u32) -> String {
    if (major, minor) >= (12, 8) { "8.0;8.6;8.9;9.0;10.0;12.0+PTX" } else { "8.0;8.6;8.9;9.0+PTX" }.to_owned()
}

fn environment(settings: &Settings, archs: &str, launcher: &Launcher) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([
        ("PIP_DISABLE_PIP_VERSION_CHECK".to_owned(), "1".to_owned()),
        ("PIP_NO_INPUT".to_owned(), "1".to_owned()),
        ("PIP_PROGRESS_BAR".to_owned(), "off".to_owned()),
        ("MAX_JOBS".to_owned(), settings.jobs.max(1).to_string()),
        ("CMAKE_BUILD_PARALLEL_LEVEL".to_owned(), settings.jobs.max(1).to_string()),
    ]);
    if !archs.is_empty() {
        env.insert("TORCH_CUDA_ARCH_LIST".to_owned(), archs.to_owned());
    }
    if let Some(folder) = &settings.ccache {
        let folder =
            if launcher.is_container() { "/ccache".to_owned() } else { folder.display().to_string() };
        env.insert("CCACHE_DIR".to_owned(), folder);
        for compiler in ["C", "CXX", "CUDA"] {
            env.insert(format!("CMAKE_{compiler}_COMPILER_LAUNCHER"), "ccache".to_owned());
        }
        env.insert("PYTORCH_NVCC".to_owned(), "ccache nvcc".to_owned());
    }
    env
}

fn mounts(settings: &Settings, launcher: &Launcher) -> Vec<Mount> {
    let mut mounts = settings.mounts.clone();
    if let (Some(folder), true) = (&settings.ccache, launcher.is_container()) {
        let outside = folder.display().to_string();
        mounts.push(Mount { outside, inside: "/ccache".to_owned(), is_writable: true });
    }
    mounts
}

/// A Python of this version in `$python`: on this machine it must be there, in a container it is installed.
fn interpreter(python: &str, is_built: bool, launcher: &Launcher) -> String {
    let (number, is_free) = python.strip_suffix('t').map_or((python, false), |number| (number, true));
    let program = format!("python{number}{}", if is_free { "t" } else { "" });
    let debian = format!("python{number}{}", if is_free { "-nogil" } else { "" });
    let tools = if is_built { " git build-essential ninja-build ccache" } else { "" };
    let dev = if is_built && !is_free { format!(" {debian}-dev") } else { String::new() };
    if !launcher.is_container() {
        return format!(
            "python={program}\ncommand -v $python >/dev/null || {{ echo \"$python is not installed\" >&2; exit 127; }}\n"
        );
    }
    format!(
        "python={program}\n\
        if ! $python -c 'import venv, ensurepip' 2>/dev/null; then\n    \
            export DEBIAN_FRONTEND=noninteractive\n    \
            apt-get update -qq\n    \
            apt-get install -qq -y --no-install-recommends software-properties-common{tools}\n    \
            add-apt-repository -y ppa:deadsnakes/ppa\n    \
            apt-get install -qq -y --no-install-recommends {debian} {debian}-venv{dev}\n\
        fi\n"
    )
}

fn build_script(
    cell: &Cell,
    settings: &Settings,
    launcher: &Launcher,
    torch: Option<&str>,
    others: &[&str],
) -> String {
    let mut script = format!("set -eu\n{}", interpreter(&cell.python, true, launcher));
    script.push_str("$python -m venv \"$WORK/venv\"\n");
    script.push_str("PATH=\"$WORK/venv/bin:$PATH\"; export PATH\n");
    if settings.ccache.is_some() {
        script.push_str("PATH=\"/usr/lib/ccache:$PATH\"\n");
    }
    let index = index(settings);
    script.push_str(&format!("python -m pip install{index} --upgrade pip setuptools wheel\n"));
    if let Some(torch) = torch {
        script.push_str(&format!("python -m pip install {torch}\n"));
    }
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|word| quoted(word)).collect();
        script.push_str(&format!("python -m pip install{index} {}\n", others.join(" ")));
    }
    let args: Vec<String> = cell.build_args.split_whitespace().map(quoted).collect();
    let args = if args.is_empty() { String::new() } else { format!(" {}", args.join(" ")) };
    // Pip's cache knows a wheel by its source, and not by the CUDA that it was compiled with.
    script.push_str(&format!(
        "exec python -m pip wheel{index} --no-cache-dir --no-deps --no-binary {}{args} --wheel-dir \"$WORK/wheels\" {}\n",
        quoted(&project(&cell.package)),
        quoted(&format!("{}=={}", cell.package, cell.version)),
    ));
    script
}

/// What is tried.
struct Tried<'a> {
    python: &'a str,
    torch: Option<&'a str>,
    import: &'a str,
    command: &'a str,
}

fn smoke_script(tried: &Tried<'_>, settings: &Settings, launcher: &Launcher) -> String {
    let mut script = format!("set -eu\n{}", interpreter(tried.python, false, launcher));
    script.push_str("$python -m venv \"$WORK/venv\"\nPATH=\"$WORK/venv/bin:$PATH\"; export PATH\n");
    if let Some(torch) = tried.torch {
        script.push_str(&format!("python -m pip install {torch}\n"));
    }
    script.push_str(&format!("python -m pip install{} \"$WORK\"/*.whl\n", index(settings)));
    // Not from the folder that Python is started in: what is imported is what was installed.
    let import = format!("import {0}; print('imported', {0}.__name__)", tried.import);
    script.push_str(&format!("cd /\npython -I -c {}\n", quoted(&import)));
    if !tried.command.is_empty() {
        script.push_str(&format!("sh -c {}\n", quoted(tried.command)));
    }
    script
}

fn index(settings: &Settings) -> String {
    settings.index.as_ref().map(|index| format!(" --index-url {}", quoted(index))).unwrap_or_default()
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
