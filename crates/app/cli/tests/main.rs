//! Tests of the binary: the manual pages executed, the reference of all commands, exit codes on bad input.

mod suite {
    mod ba;
    mod container;
    mod corpus;
    mod cpp_chunker;
    mod fetch;
    mod fetch_stores;
    mod index;
    mod index_browser;
    mod index_clients;
    mod index_drafts;
    mod index_hosts;
    mod issue;
    mod issue_guide;
    mod issue_input;
    mod issue_jira;
    mod issue_kills;
    mod issue_mcp;
    mod issue_races;
    mod job;
    mod original;
    mod pages;
    mod plan_schema;
    mod project;
    mod ranks;
    mod reference;
    mod resume;
    mod run;
    mod run_images;
    mod run_kills;
    mod run_plan;
    mod run_slurm;
    mod run_temporal;
    mod runs;
    mod runs_gc;
    mod wheel_build;
    mod wheel_matrix;
}
