//! Draws the next token from logits: greedy, by temperature, from the top k.
//!
//! Deterministic: the tokens depend on the logits, the options and the sequence's number alone, so neither the
//! batch a sequence shares nor the order of the batch changes what is drawn. Equal logits are ordered by id.
//! Probabilities are formed in f64 relative to the largest logit, so no temperature overflows.
//! Random numbers are xoshiro256++ (Blackman and Vigna, arXiv 1805.01407), seeded by splitmix64 as its authors advise.
//!
//! Not covered: nucleus sampling, repetition penalties.

use std::cmp::Ordering;
use wootz_schema::eval::Sampling;
use wootz_schema::{Diagnose, ExitCode};

/// Draws the tokens of one sequence.
#[derive(Debug, Clone)]
pub struct Sampler {
    temperature: f64,
    top_k: usize,
    random: Xoshiro256,
    /// The tokens drawn from, reused; sorted only where a top k asks for it.
    candidates: Vec<Candidate>,
}

/// Why no token could be drawn.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// A temperature below zero, or none.
    #[error("sample at temperature {0}")]
    Temperature(f32),
    /// A top k of nothing.
    #[error("sample from the 0 likeliest tokens")]
    TopK,
    /// The model gave no usable number.
    #[error("sample: the logit of token {token} is {logit}")]
    NotFinite {
        /// Its id.
        token: usize,
        /// Its logit.
        logit: f32,
    },
    /// There is no token, or every one is ruled out.
    #[error("sample: none of {vocab_size} tokens has a finite logit")]
    NoToken {
        /// Logits given.
        vocab_size: usize,
    },
}

impl Diagnose for SampleError {
    fn exit(&self) -> ExitCode {
        match self {
            SampleError::Temperature(_) | SampleError::TopK => ExitCode::Usage,
            SampleError::NotFinite { .. } => ExitCode::Failed,
            SampleError::NoToken { .. } => ExitCode::Bug,
        }
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            SampleError::Temperature(_) => "give a temperature of 0 (greedy) or more",
            SampleError::TopK => "give a top k of 1 (greedy) or more, or leave it out",
            SampleError::NotFinite { .. } => {
                "the model's weights have diverged: use an earlier checkpoint, or train with a lower learning rate"
            }
            SampleError::NoToken { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    logit: f32,
    token: u32,
}

impl Candidate {
    /// Likeliest first, equal ones by id: a total order because NaN was refused before.
    fn order(&self, other: &Candidate) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.token.cmp(&other.token))
    }
}

impl Sampler {
    /// A sampler for one sequence; `sequence` is its number among those that share the seed.
    pub fn new(sampling: &Sampling, sequence: u64) -> Result<Sampler, SampleError> {
        if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
            return Err(SampleError::Temperature(sampling.temperature));
        }
        if sampling.top_k == Some(0) {
            return Err(SampleError::TopK);
        }
        Ok(Sampler {
            temperature: f64::from(sampling.temperature),
            top_k: sampling.top_k.unwrap_or(usize::MAX),
            random: Xoshiro256::new(sampling.seed, sequence),
            candidates: Vec::new(),
        })
    }

    /// Draws a token. `logits` has one entry for each token of the vocabulary, without its padding;
    /// −∞ rules a token out.
    pub fn next(&mut self, logits: &[f32]) -> Result<u32, SampleError> {
        let best = likeliest(logits)?;
        if self.temperature == 0.0 || self.top_k == 1 {
            return Ok(best.token);
        }
        self.candidates.clear();
        self.candidates.extend(logits.iter().zip(0..).map(|(&logit, token)| Candidate { logit, token }));
        if self.top_k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(self.top_k, Candidate::order);
            self.candidates.truncate(self.top_k);
            // The selection leaves them in no stated order, and the draw depends on it.
            self.candidates.sort_unstable_by(Candidate::order);
        }
        Ok(self.draw(best))
    }

    /// Walks the cumulative weights until they pass a random share of their sum.
    fn draw(&mut self, best: Candidate) -> u32 {
        let weight = |candidate: &Candidate| {
            ((f64::from(candidate.logit) - f64::from(best.logit)) / self.temperature).exp()
        };
        let total: f64 = self.candidates.iter().map(weight).sum();
        let mut left = self.random.unit() * total;
        for candidate in &self.candidates {
            left -= weight(candidate);
            if left < 0.0 {
                return candidate.token;
            }
        }
        // Rounding of the two sums can leave a remainder, rarer than once in 2^50 draws.
        best.token
    }
}

/// The token with the largest logit, the lowest id among equals.
fn likeliest(logits: &[f32]) -> Result<Candidate, SampleError> {
    let mut best = Candidate { logit: f32::NEG_INFINITY, token: 0 };
    for (token, &logit) in logits.iter().enumerate() {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(SampleError::NotFinite { token, logit });
        }
        if logit > best.logit {
            best = Candidate { logit, token: token as u32 };
        }
    }
    match best.logit.is_finite() {
        true => Ok(best),
        false => Err(SampleError::NoToken { vocab_size: logits.len() }),
    }
}

#[derive(Debug, Clone)]
struct Xoshiro256([u64; 4]);

impl Xoshiro256 {
    fn new(seed: u64, sequence: u64) -> Xoshiro256 {
        // The sequence's number goes through the mixer before it meets the seed, so that neighbours share nothing.
        let mut state = seed ^ splitmix64(&mut sequence.clone());
        Xoshiro256([(); 4].map(|()| splitmix64(&mut state)))
    }
    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }
    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs that the authors' code gives from the state 1, 2, 3, 4, and from splitmix64's seed 0.
    #[test]
    fn the_generators_are_the_published_ones() {
        let mut random = Xoshiro256([1, 2, 3, 4]);
        assert_eq!([(); 3].map(|()| random.next()), [41943041, 58720359, 3588806011781223]);
        assert_eq!(splitmix64(&mut 0), 0xe220_a839_7b1d_cdaf);
    }
}
