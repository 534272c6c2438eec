//! Collectives over the connections of a [`World`]: what one rank sends another goes as bytes, and sums are in the order of
//! the ranks, so that they are the same in every run.

use super::Kernel;
use crate::io::Io;
use crate::real::Real;
use wootz_mesh::{Channel, World};
use wootz_ops::{AllGather, AllReduce, BroadcastFromOwner, ReduceToOwner};
use wootz_program::Op;

/// The kernel of a collective in this world.
pub(crate) fn kernel<T: Real>(op: &dyn Op, world: &World) -> Option<Kernel<T>> {
    let (any, world) = (op.as_any(), world.clone());
    if let Some(op) = any.downcast_ref::<ReduceToOwner>() {
        let op = op.clone();
        return Some(Box::new(move |io| reduce_to_owner(&op, &world, io)));
    }
    if let Some(op) = any.downcast_ref::<BroadcastFromOwner>() {
        let op = op.clone();
        return Some(Box::new(move |io| broadcast_from_owner(&op, &world, io)));
    }
    if any.is::<AllGather>() {
        return Some(Box::new(move |io| all_gather(&world, io)));
    }
    if any.is::<AllReduce>() {
        return Some(Box::new(move |io| all_reduce(&world, io)));
    }
    None
}

fn reduce_to_owner<T: Real>(op: &ReduceToOwner, world: &World, io: &Io<T>) -> Result<(), String> {
    let mut parts = vec![Vec::new(); world.size];
    let mut own = Vec::new();
    for (i, owner) in op.owners.iter().enumerate() {
        let gradient = io.updated(i);
        T::append(gradient, &mut parts[*owner]);
        gradient.fill(T::ZERO);
        if *owner == world.rank {
            own.push(gradient);
        }
    }
    for part in exchange(world, parts)? {
        let terms = T::of_bytes(&part);
        let mut rest = terms.as_slice();
        for gradient in &mut own {
            let (of_this, after) = rest.split_at_checked(gradient.len()).ok_or("a rank sent too little")?;
            gradient.iter_mut().zip(of_this).for_each(|(sum, term)| *sum += *term);
            rest = after;
        }
    }
    Ok(())
}

fn broadcast_from_owner<T: Real>(op: &BroadcastFromOwner, world: &World, io: &Io<T>) -> Result<(), String> {
    let mut own = Vec::new();
    let mut others: Vec<Vec<&mut [T]>> = (0..world.size).map(|_| Vec::new()).collect();
    for (i, owner) in op.owners.iter().enumerate() {
        let parameter = io.updated(i);
        match *owner == world.rank {
            true => T::append(parameter, &mut own),
            false => others[*owner].push(parameter),
        }
    }
    let mut parts = vec![own; world.size];
    parts[world.rank] = Vec::new();
    for (part, parameters) in exchange(world, parts)?.iter().zip(others) {
        let values = T::of_bytes(part);
        let mut rest = values.as_slice();
        for parameter in parameters {
            let (of_this, after) = rest.split_at_checked(parameter.len()).ok_or("a rank sent too little")?;
            parameter.copy_from_slice(of_this);
            rest = after;
        }
    }
    Ok(())
}

fn all_gather<T: Real>(world: &World, io: &Io<T>) -> Result<(), String> {
    let all = gathered(world, io)?.concat();
    let output = io.output(0);
    (all.len() == output.len()).then_some(()).ok_or("a rank sent too little")?;
    output.copy_from_slice(&all);
    Ok(())
}

fn all_reduce<T: Real>(world: &World, io: &Io<T>) -> Result<(), String> {
    let parts = gathered(world, io)?;
    let output = io.output(0);
    output.fill(T::ZERO);
    for part in parts {
        output.iter_mut().zip(&part).for_each(|(sum, term)| *sum += *term);
    }
    Ok(())
}

fn gathered<T: Real>(world: &World, io: &Io<T>) -> Result<Vec<Vec<T>>, String> {
    let mut bytes = Vec::new();
    T::append(io.input(0), &mut bytes);
    Ok(exchange(world, vec![bytes; world.size])?.iter().map(|part| T::of_bytes(part)).collect())
}

fn exchange(world: &World, parts: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, String> {
    world.all_to_all(Channel::Compute, parts).map_err(|error| error.to_string())
}
