//! What the steps of a run share, and what of it is free: cores, memory, GPUs by name, and the plan's own pools.

use crate::graph::Rule;
use std::collections::BTreeMap;
use wootz_schema::event::Capacity;

/// What is free. Without a capacity only pools are counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tokens {
    capacity: Option<Capacity>,
    cpus: u32,
    memory_mb: u64,
    /// For each GPU of the capacity, whether it is free.
    gpus: Vec<bool>,
    pools: BTreeMap<String, u32>,
    /// How many of each pool there are.
    all_pools: BTreeMap<String, u32>,
}

impl Tokens {
    pub fn new(capacity: Option<Capacity>, pools: &BTreeMap<String, u32>) -> Tokens {
        let of = capacity.clone().unwrap_or_default();
        let gpus = vec![true; of.gpus.len()];
        let (pools, all_pools) = (pools.clone(), pools.clone());
        Tokens { capacity, cpus: of.cpus, memory_mb: of.memory_mb, gpus, pools, all_pools }
    }

    /// The same, with another capacity and everything free.
    pub fn renewed(&self, capacity: Option<Capacity>) -> Tokens {
        Tokens::new(capacity, &self.all_pools)
    }

    /// What a step wants that the run does not have even when nothing else runs.
    pub fn lacks(&self, rule: &Rule) -> Option<String> {
        let wanted = &rule.resources;
        let many = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        for (pool, n) in &rule.pools {
            let has = self.all_pools.get(pool).copied().unwrap_or_default();
            if *n > has {
                return Some(format!("{n} of the pool {pool}: there are {has}"));
            }
        }
        let has = self.capacity.as_ref()?;
        let memory = wanted.memory_mb.unwrap_or_default();
        if wanted.nodes > 1 {
            Some(format!("{} nodes: this run has one machine", wanted.nodes))
        } else if wanted.gpus as usize > has.gpus.len() {
            let wanted = many(u64::from(wanted.gpus), "GPU");
            Some(format!("{wanted}: this run has {}", has.gpus.len()))
        } else if wanted.cpus > has.cpus {
            Some(format!("{}: this run has {}", many(u64::from(wanted.cpus), "CPU core"), has.cpus))
        } else if memory > has.memory_mb {
            Some(format!("{memory} MiB of memory: this run has {}", has.memory_mb))
        } else {
            None
        }
    }

    /// Takes what a step wants and names its GPUs; none where that is not free now.
    pub fn take(&mut self, rule: &Rule) -> Option<Vec<String>> {
        let pool_is_free = |(pool, n): (&String, &u32)| self.pools.get(pool).is_some_and(|free| free >= n);
        if !rule.pools.iter().all(pool_is_free) {
            return None;
        }
        let mut names = Vec::new();
        if let Some(capacity) = &self.capacity {
            let wanted = &rule.resources;
            let memory = wanted.memory_mb.unwrap_or_default();
            let free = self.gpus.iter().filter(|free| **free).count();
            if wanted.cpus > self.cpus || memory > self.memory_mb || wanted.gpus as usize > free {
                return None;
            }
            let all = capacity.gpus.iter().zip(&self.gpus);
            let free = all.filter(|(_, free)| **free).map(|(name, _)| name.clone());
            names = free.take(wanted.gpus as usize).collect();
        }
        self.keep(rule, &names);
        Some(names)
    }

    /// Counts what an attempt has that goes on.
    pub fn keep(&mut self, rule: &Rule, gpus: &[String]) {
        let wanted = &rule.resources;
        self.cpus = self.cpus.saturating_sub(wanted.cpus);
        self.memory_mb = self.memory_mb.saturating_sub(wanted.memory_mb.unwrap_or_default());
        self.mark(gpus, false);
        for (pool, n) in &rule.pools {
            self.pools.entry(pool.clone()).and_modify(|free| *free = free.saturating_sub(*n));
        }
    }

    /// Gives back what an attempt had.
    pub fn give_back(&mut self, rule: &Rule, gpus: &[String]) {
        let wanted = &rule.resources;
        if let Some(capacity) = &self.capacity {
            self.cpus = (self.cpus + wanted.cpus).min(capacity.cpus);
            let memory = wanted.memory_mb.unwrap_or_default();
            self.memory_mb = (self.memory_mb + memory).min(capacity.memory_mb);
        }
        self.mark(gpus, true);
        for (pool, n) in &rule.pools {
            let all = self.all_pools.get(pool).copied().unwrap_or_default();
            self.pools.entry(pool.clone()).and_modify(|free| *free = (*free + *n).min(all));
        }
    }

    fn mark(&mut self, gpus: &[String], is_free: bool) {
        let Some(capacity) = &self.capacity else { return };
        for (name, free) in capacity.gpus.iter().zip(&mut self.gpus) {
            if gpus.contains(name) {
                *free = is_free;
            }
        }
    }
}
