//! Tests of the babysitter: a made-up world in which anything may fail, profiles with mistakes, and a made-up tool of the cloud.

mod suite {
    mod gcloud;
    mod profile;
    mod world;
}

/// A profile that has all that must be there.
pub const PROFILE: &str = "\
name: small
machine: {name: tpu-1, zone: zone-b, accelerator: v6e-4, runtime: v2-alpha}
training:
  folder: ~/code
  command: [./train, 'a b', \"it's\"]
  resume: ['--resume_from_step={step}']
  checkpoints: gs://bucket/run
  optimizer_ranks: 2
secrets: [SECRET_KEY]
";
