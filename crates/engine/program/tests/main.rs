//! Properties of plans and of the reverse transform, over random programs of real ops and over the model's programs.
#![allow(clippy::unwrap_used)] // The lint's own exemption stops at the functions marked as tests.

mod suite {
    mod model_plans;
    mod random_programs;
    mod reverse;
}
