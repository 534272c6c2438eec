//! Every environment variable that wootz reads, and the part of the manual that is made from the list.
//!
//! Libraries take what they need as arguments; this file is the only one that looks at the environment. Plans may
//! name any variable as `${env.NAME}`: those go through [`all`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use wootz_cuda::Search;
use wootz_fetch::{Gs, Keys, S3, Stores};
use wootz_hub::Place;
use wootz_schema::ExitCode;
use wootz_stations::device::Machine;

/// A variable that wootz reads.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it sets, and what holds without it.
    pub meaning: &'static str,
}

/// Folder of runs and cached outputs.
pub const HOME: Variable = Variable {
    name: "WOOTZ_HOME",
    meaning: "folder of runs and cached outputs; default .wootz in the working folder",
};
/// Folder of jobs.
pub const JOB_ROOT: Variable = Variable {
    name: "WOOTZ_JOB_ROOT",
    meaning: "folder of the jobs of all projects; default .wootz/jobs in the working folder",
};
/// Threads.
pub const THREADS: Variable = Variable {
    name: "WOOTZ_THREADS",
    meaning: "threads of commands that have --threads; default one per core",
};
/// Colour.
pub const NO_COLOR: Variable = Variable { name: "NO_COLOR", meaning: "any value: no colour on stderr" };
/// Backtraces.
pub const BACKTRACE: Variable =
    Variable { name: "RUST_BACKTRACE", meaning: "1: a bug report shows where in the code it happened" };

/// Folders of NVIDIA's libraries.
pub const CUDA_LIBRARIES: Variable = Variable {
    name: "WOOTZ_CUDA_LIBRARIES",
    meaning: "folders of NVIDIA's libraries, separated by colons; they come before all others",
};
/// Folder of what is made again when it is lost.
pub const CACHE: Variable = Variable {
    name: "XDG_CACHE_HOME",
    meaning: "folder of compiled kernels where WOOTZ_HOME is not set; default ~/.cache",
};

/// GPUs that processes see.
pub const VISIBLE_GPUS: Variable = Variable {
    name: "CUDA_VISIBLE_DEVICES",
    meaning: "GPUs that the steps of a run share, which `wootz run` hands out one by one; default all",
};
/// The C compiler.
pub const CC: Variable =
    Variable { name: "CC", meaning: "C compiler of `wootz corpus audit`, with its arguments; default cc" };
/// The C++ compiler.
pub const CXX: Variable = Variable {
    name: "CXX",
    meaning: "C++ compiler of `wootz corpus audit`, with its arguments; default c++",
};

/// The variables of a distributed job's launcher; see [`wootz_mesh::Place`].
pub const RANKS: Variable = Variable {
    name: "RANK",
    meaning: "with WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT: this process is one rank of a training job",
};
/// Patience of ranks.
pub const RENDEZVOUS: Variable = Variable {
    name: "WOOTZ_RENDEZVOUS_SECONDS",
    meaning: "how long the ranks of a job wait for one another when it starts; default 300",
};
/// Set by `--gpus` and `--ranks` for the ranks that they start.
pub const LAUNCHER: Variable =
    Variable { name: "WOOTZ_LAUNCHER", meaning: "process that started this rank; set by wootz itself" };

/// Where the Temporal server is.
pub const TEMPORAL_ADDRESS: Variable = Variable {
    name: "TEMPORAL_ADDRESS",
    meaning: "host and port of the Temporal server of `wootz worker` and `wootz run --engine temporal`; default 127.0.0.1:7233",
};
/// Its namespace.
pub const TEMPORAL_NAMESPACE: Variable =
    Variable { name: "TEMPORAL_NAMESPACE", meaning: "its namespace; default `default`" };
/// Its queue.
pub const TEMPORAL_TASK_QUEUE: Variable =
    Variable { name: "TEMPORAL_TASK_QUEUE", meaning: "where its workers wait for work; default wootz" };

/// The image of containers.
pub const CONTAINER_IMAGE: Variable = Variable {
    name: "SYGALDRY_IMAGE",
    meaning: "image of `wootz container`; default wootz/PROJECT:dev, which is built from container/Dockerfile",
};
/// What their folders are known by.
pub const CONTAINER_PROJECT: Variable = Variable {
    name: "SYGALDRY_PROJECT_ID",
    meaning: "by what the shared folders of a project's containers are known; default the folder's name",
};
/// Where their folders are.
pub const CONTAINER_ROOT: Variable = Variable {
    name: "SYGALDRY_CONTAINER_ROOT",
    meaning: "where these folders are; default ~/.local/share/wootz/containers",
};
/// What they begin with.
pub const CONTAINER_ENTRYPOINT: Variable =
    Variable { name: "SYGALDRY_ENTRYPOINT", meaning: "entry point of `wootz container`; default `default`" };
/// Whether they have GPUs.
pub const CONTAINER_GPU: Variable =
    Variable { name: "SYGALDRY_GPU", meaning: "false: containers have no GPUs" };
/// Their CUDA.
pub const CONTAINER_CUDA: Variable = Variable {
    name: "SYGALDRY_REQUIRED_CUDA_VERSION",
    meaning: "CUDA that the driver must be able to do for containers to have GPUs; default 12.9",
};

/// Where Jira is.
pub const JIRA_URL: Variable = Variable {
    name: "JIRA_URL",
    meaning: "address of Jira, for `wootz issue jira`; goes before config.json",
};
/// Its projects.
pub const JIRA_PROJECT: Variable = Variable {
    name: "JIRA_PROJECT",
    meaning: "key of the project in Jira; JIRA_PROJECTS: several, separated by commas",
};
/// Several of them.
pub const JIRA_PROJECTS: Variable = Variable { name: "JIRA_PROJECTS", meaning: "see JIRA_PROJECT" };
/// Who asks.
pub const JIRA_USERNAME: Variable = Variable {
    name: "JIRA_USERNAME",
    meaning: "name of the account in Jira; without it the token is sent by itself",
};
/// The account's token.
pub const JIRA_API_TOKEN: Variable =
    Variable { name: "JIRA_API_TOKEN", meaning: "the account's token in Jira; it is never printed" };
/// Which interface.
pub const JIRA_API_VERSION: Variable = Variable {
    name: "JIRA_API_VERSION",
    meaning: "version of Jira's interface, 2 (on one's own servers) or 3 (default)",
};
/// What is pulled.
pub const JIRA_PULL_JQL: Variable =
    Variable { name: "JIRA_PULL_JQL", meaning: "a further condition (JQL) on issues that are pulled" };

/// Where the model hub is.
pub const HF_ENDPOINT: Variable =
    Variable { name: "HF_ENDPOINT", meaning: "address of the model hub; default https://huggingface.co" };
/// Who asks.
pub const HF_TOKEN: Variable = Variable {
    name: "HF_TOKEN",
    meaning: "token for the model hub; default the file `token` in HF_HOME; it is never printed",
};
/// The hub's folder.
pub const HF_HOME: Variable = Variable {
    name: "HF_HOME",
    meaning: "folder of the model hub's token and cache; default ~/.cache/huggingface",
};
/// The hub's cache.
pub const HF_HUB_CACHE: Variable = Variable {
    name: "HF_HUB_CACHE",
    meaning: "cache of `wootz hub download`; default the folder `hub` in HF_HOME",
};
/// No requests.
pub const HF_HUB_OFFLINE: Variable =
    Variable { name: "HF_HUB_OFFLINE", meaning: "1: the model hub is not asked; what its cache has is used" };

/// Amazon's key.
pub const AWS_ACCESS_KEY_ID: Variable = Variable {
    name: "AWS_ACCESS_KEY_ID",
    meaning: "with AWS_SECRET_ACCESS_KEY: signs requests for s3:// addresses; default the keys of AWS_PROFILE, without which they are not signed",
};
/// Its secret.
pub const AWS_SECRET_ACCESS_KEY: Variable =
    Variable { name: "AWS_SECRET_ACCESS_KEY", meaning: "see AWS_ACCESS_KEY_ID; it is never printed" };
/// What belongs to keys that hold for a while.
pub const AWS_SESSION_TOKEN: Variable = Variable {
    name: "AWS_SESSION_TOKEN",
    meaning: "what belongs to an AWS_ACCESS_KEY_ID that holds for a while; it is never printed",
};
/// Which keys of a file.
pub const AWS_PROFILE: Variable = Variable {
    name: "AWS_PROFILE",
    meaning: "section of AWS_SHARED_CREDENTIALS_FILE that has the keys; default `default`",
};
/// The file.
pub const AWS_SHARED_CREDENTIALS_FILE: Variable = Variable {
    name: "AWS_SHARED_CREDENTIALS_FILE",
    meaning: "file of keys for s3:// addresses; default ~/.aws/credentials",
};
/// Where buckets are.
pub const AWS_REGION: Variable = Variable {
    name: "AWS_REGION",
    meaning: "region of the buckets of s3:// addresses; default AWS_DEFAULT_REGION, or us-east-1",
};
/// The same.
pub const AWS_DEFAULT_REGION: Variable = Variable { name: "AWS_DEFAULT_REGION", meaning: "see AWS_REGION" };
/// Another store than Amazon's.
pub const AWS_ENDPOINT_URL_S3: Variable = Variable {
    name: "AWS_ENDPOINT_URL_S3",
    meaning: "address of a store that is not Amazon's, for s3:// addresses; default AWS_ENDPOINT_URL",
};
/// The same.
pub const AWS_ENDPOINT_URL: Variable =
    Variable { name: "AWS_ENDPOINT_URL", meaning: "see AWS_ENDPOINT_URL_S3" };
/// Google's token.
pub const GOOGLE_OAUTH_ACCESS_TOKEN: Variable = Variable {
    name: "GOOGLE_OAUTH_ACCESS_TOKEN",
    meaning: "token for gs:// addresses, as `gcloud auth print-access-token` prints it; it is never printed here",
};
/// Another store than Google's.
pub const STORAGE_EMULATOR_HOST: Variable = Variable {
    name: "STORAGE_EMULATOR_HOST",
    meaning: "address of a store that is not Google's, for gs:// addresses",
};

/// All of them, in the manual's order.
pub const ALL: [&Variable; 45] = [
    &HOME,
    &JOB_ROOT,
    &THREADS,
    &CUDA_LIBRARIES,
    &CACHE,
    &CC,
    &CXX,
    &RANKS,
    &RENDEZVOUS,
    &VISIBLE_GPUS,
    &LAUNCHER,
    &TEMPORAL_ADDRESS,
    &TEMPORAL_NAMESPACE,
    &TEMPORAL_TASK_QUEUE,
    &CONTAINER_IMAGE,
    &CONTAINER_PROJECT,
    &CONTAINER_ROOT,
    &CONTAINER_ENTRYPOINT,
    &CONTAINER_GPU,
    &CONTAINER_CUDA,
    &JIRA_URL,
    &JIRA_PROJECT,
    &JIRA_PROJECTS,
    &JIRA_USERNAME,
    &JIRA_API_TOKEN,
    &JIRA_API_VERSION,
    &JIRA_PULL_JQL,
    &HF_ENDPOINT,
    &HF_TOKEN,
    &HF_HOME,
    &HF_HUB_CACHE,
    &HF_HUB_OFFLINE,
    &AWS_ACCESS_KEY_ID,
    &AWS_SECRET_ACCESS_KEY,
    &AWS_SESSION_TOKEN,
    &AWS_PROFILE,
    &AWS_SHARED_CREDENTIALS_FILE,
    &AWS_REGION,
    &AWS_DEFAULT_REGION,
    &AWS_ENDPOINT_URL_S3,
    &AWS_ENDPOINT_URL,
    &GOOGLE_OAUTH_ACCESS_TOKEN,
    &STORAGE_EMULATOR_HOST,
    &NO_COLOR,
    &BACKTRACE,
];

impl Variable {
    /// Its value, where it is set and not empty.
    pub fn get(&self) -> Option<OsString> {
        std::env::var_os(self.name).filter(|value| !value.is_empty())
    }

    /// The same, where it is text.
    pub fn text(&self) -> Option<String> {
        text(self.name)
    }
}

/// A variable's value, where it is set, not empty, and text.
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Every variable that is text, for `${env.NAME}` in plans.
pub fn all() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What says which GPUs processes see; set and empty: none.
pub fn visible_gpus() -> Option<String> {
    std::env::var(VISIBLE_GPUS.name).ok()
}

/// Variables that pip reads to reach its index, where they are set. They may hold passwords.
pub fn of_pip() -> BTreeMap<String, String> {
    let names = [
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_TRUSTED_HOST",
        "PIP_CERT",
        "PIP_DEFAULT_TIMEOUT",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    ];
    names.into_iter().filter_map(|name| Some((name.to_owned(), text(name)?))).collect()
}

/// The folders of programs.
pub fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// This program, by which it starts itself again.
pub fn program() -> Option<String> {
    std::env::current_exe().ok().map(|program| program.to_string_lossy().into_owned())
}

/// Where the folders of containers are that nobody placed.
pub fn containers() -> PathBuf {
    let home = std::env::home_dir().unwrap_or_else(|| PathBuf::from("."));
    home.join(".local/share/wootz/containers")
}

/// The name that this process was called by, without folders.
pub fn called() -> Option<String> {
    let path = PathBuf::from(std::env::args_os().next()?);
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// The command line of this process, quoted for a shell.
pub fn command_line() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.iter().map(|word| wootz_stations::report::quote(word)).collect::<Vec<_>>().join(" ")
}

/// The folder of runs: the flag, the variable, or `.wootz`.
pub fn home(flag: Option<&PathBuf>) -> PathBuf {
    flag.cloned().or_else(|| HOME.get().map(PathBuf::from)).unwrap_or_else(|| PathBuf::from(".wootz"))
}

/// Where models and data sets come from, and who asks: the variables that the hub's own client reads, and the file in which it keeps a
/// token.
pub fn hub() -> Place {
    let of_file = || std::fs::read_to_string(hub_home()?.join("token")).ok();
    let token = text(HF_TOKEN.name).or_else(of_file).map(|token| token.trim().to_owned());
    let is_on = |value: String| matches!(value.to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE");
    Place {
        endpoint: text(HF_ENDPOINT.name),
        token: token.filter(|token| !token.is_empty()),
        is_offline: text(HF_HUB_OFFLINE.name).is_some_and(is_on),
    }
}

/// The cache of the hub's own client.
pub fn hub_cache() -> Option<PathBuf> {
    HF_HUB_CACHE.get().map(PathBuf::from).or_else(|| Some(hub_home()?.join("hub")))
}

fn hub_home() -> Option<PathBuf> {
    let caches = || CACHE.get().map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")));
    HF_HOME.get().map(PathBuf::from).or_else(|| Some(caches()?.join("huggingface")))
}

/// Where object stores are, and who asks them: the variables and the file that the stores' own tools read.
pub fn stores() -> Stores {
    let either = |one: Variable, other: Variable| text(one.name).or_else(|| text(other.name));
    Stores {
        s3: S3 {
            region: either(AWS_REGION, AWS_DEFAULT_REGION),
            endpoint: either(AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL),
            keys: keys(),
        },
        gs: Gs { endpoint: text(STORAGE_EMULATOR_HOST.name), token: text(GOOGLE_OAUTH_ACCESS_TOKEN.name) },
    }
}

/// The keys of the variables, or else those of the file.
fn keys() -> Option<Keys> {
    if let (Some(id), Some(secret)) = (text(AWS_ACCESS_KEY_ID.name), text(AWS_SECRET_ACCESS_KEY.name)) {
        return Some(Keys { id, secret, session_token: text(AWS_SESSION_TOKEN.name) });
    }
    let of_user = || Some(std::env::home_dir()?.join(".aws/credentials"));
    let path = AWS_SHARED_CREDENTIALS_FILE.get().map(PathBuf::from).or_else(of_user)?;
    let name = text(AWS_PROFILE.name).unwrap_or_else(|| "default".to_owned());
    wootz_fetch::profile(&std::fs::read_to_string(path).ok()?, &name)
}

/// Where NVIDIA's libraries may lie, and where compiled kernels are kept: `$WOOTZ_HOME/cuda`, or `wootz/cuda` in the user's
/// folder of caches.
pub fn machine() -> Machine {
    let folders =
        |list: Option<OsString>| list.map(|list| std::env::split_paths(&list).collect()).unwrap_or_default();
    let caches = || CACHE.get().map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let cache = HOME.get().map(PathBuf::from).or_else(|| Some(caches()?.join("wootz")));
    Machine {
        libraries: Search::new(folders(CUDA_LIBRARIES.get()), folders(std::env::var_os("PATH"))),
        cache: cache.map(|folder| folder.join("cuda")),
        programs: search_path(),
        hub: hub(),
        container: crate::commands::container::attendant(),
        stores: stores(),
    }
}

/// The end of `wootz --help`: exit codes and variables.
pub fn manual() -> String {
    let mut text = String::from("Exit codes:\n");
    for (code, meaning) in EXIT_CODES {
        text.push_str(&format!("  {:<3} {meaning}\n", code as u8));
    }
    text.push_str("\nEnvironment variables:\n");
    for variable in ALL {
        text.push_str(&format!("  {:<27} {}\n", variable.name, variable.meaning));
    }
    text.push_str("  Plans can name any other variable as ${env.NAME}.");
    text
}

const EXIT_CODES: [(ExitCode, &str); 5] = [
    (ExitCode::Ok, "the work is done and every check held"),
    (ExitCode::Failed, "the work failed, or a check did not hold"),
    (ExitCode::Usage, "usage or bad input: change what was asked"),
    (ExitCode::Environment, "the environment: a missing tool, a full disk, a lock that timed out"),
    (ExitCode::Bug, "a bug in wootz"),
];
