//! Properties of plans and of the reverse transform, over random programs of real ops and over the model's programs.

mod suite {
    mod model_plans;
    mod random_programs;
    mod reverse;
}
