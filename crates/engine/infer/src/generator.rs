//! Decoding with a KV cache, one token a step.

use crate::model::{InferError, Model};
use crate::sampler::Sampler;
use wootz_models::nanochat::{self, LOGITS, POSITION, TOKENS};
use wootz_program::{Backend, Session};
use wootz_schema::eval::Sampling;
use wootz_tensor::HostTensor;

/// What was generated after a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// The new tokens, without the one that ended them.
    pub tokens: Vec<u32>,
    /// Whether the model ended the text itself, before the limit or the end of its context.
    pub ended: bool,
}

/// A model that continues sequences of tokens.
pub struct Generator {
    session: Box<dyn Session>,
    capacity: usize,
    position: usize,
}

impl Generator {
    /// Loads the decoding program; the cache holds the model's training context.
    pub fn new(model: &Model, backend: &dyn Backend) -> Result<Generator, InferError> {
        let capacity = model.config.sequence_len;
        let session = model.session(backend, nanochat::decode(&model.config, 1, capacity)?)?;
        Ok(Generator { session, capacity, position: 0 })
    }
    /// Continues a prompt, which begins with BOS, until `ends` holds for a drawn token or a limit is reached. `sequence` tells
    /// apart sequences of one seed.
    pub fn generate(
        &mut self,
        prompt: &[u32],
        sampling: &Sampling,
        sequence: u64,
        ends: &dyn Fn(u32) -> bool,
    ) -> Result<Generated, InferError> {
        if prompt.len() >= self.capacity {
            return Err(InferError::TooLong { prompt: prompt.len(), capacity: self.capacity });
        }
        let mut sampler = Sampler::new(sampling, sequence)?;
        self.reset()?;
        let mut logits = Err(InferError::EmptyPrompt);
        for token in prompt {
            logits = self.feed(*token);
        }
        let mut logits = logits?;
        let mut tokens = Vec::new();
        while tokens.len() < sampling.max_new_tokens {
            let token = sampler.next(&logits)?;
            if ends(token) {
                return Ok(Generated { tokens, ended: true });
            }
            tokens.push(token);
            if self.position == self.capacity {
                break;
            }
            logits = self.feed(token)?;
        }
        Ok(Generated { tokens, ended: false })
    }

    /// Begins a new sequence. Keys and values beyond the position are never read, so only what reaches back needs clearing.
    fn reset(&mut self) -> Result<(), InferError> {
        self.position = 0;
        let previous = self.session.read("cache.smear")?;
        let zeros = HostTensor::f32(previous.shape().clone(), vec![0.0; previous.shape().len()]);
        self.session.write(
            "cache.smear",
            &zeros.expect("as many zeros as the shape has, because they were made for it"),
        )?;
        Ok(())
    }
    /// Takes one token; returns the logits of the next.
    fn feed(&mut self, token: u32) -> Result<Vec<f32>, InferError> {
        let integer = |dims: Vec<usize>, value: usize| {
            HostTensor::i32(dims, vec![value as i32]).expect("one element, because both shapes hold one")
        };
        self.session.write(TOKENS, &integer(vec![1, 1], token as usize))?;
        self.session.write(POSITION, &integer(vec![], self.position))?;
        self.session.run(0)?;
        self.position += 1;
        Ok(self.session.read(LOGITS)?.as_f32().map(<[f32]>::to_vec).unwrap_or_default())
    }
}
