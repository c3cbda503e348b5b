//! Puts a module's functions in an order in which they compress better: next to others that look like them.
//!
//! What a browser loads is compressed, mostly with a window of 32 KB, and of the instances of generic code that Rust makes many are
//! nearly the same. Where they come close after each other, each is little more than how it differs from the last.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use anyhow::{Context as _, Result};
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{CodeSectionReader, FunctionSectionReader, Parser, Payload, TypeRef};

/// Functions are compared by all runs of so many bytes in them.
const RUN: usize = 6;
/// What more functions have in common says nothing about which belong together.
const COMMON: usize = 600;
/// The next function is the one that looks most like the last so many bytes: about half of what gzip looks back on.
const LOOK_BACK: usize = 16_000;

/// The same module, with its functions in another order.
///
/// # Errors
/// It is none.
pub(crate) fn neighbours(wasm: &[u8]) -> Result<Vec<u8>> {
    let mut imported = 0;
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
            _ => {}
        }
    }
    let order = order(&bodies);
    let mut places = vec![0; order.len()];
    for (place, &function) in order.iter().enumerate() {
        places[function] = u32::try_from(place)?;
    }
    let mut module = Module::new();
    let mut moving = Moving { imported, order, places };
    moving
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .context("functions could not be put in order")?;
    Ok(module.finish())
}

/// The largest first, then always what has most in common with what came last, for its size.
fn order(bodies: &[&[u8]]) -> Vec<usize> {
    let mut having: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (n, body) in bodies.iter().enumerate() {
        for run in body.windows(RUN) {
            let all = having.entry(run).or_default();
            if all.last() != Some(&n) {
                all.push(n);
            }
        }
    }
    let telling: Vec<Vec<usize>> =
        having.into_values().filter(|all| (2..=COMMON).contains(&all.len())).collect();
    let mut runs = vec![Vec::new(); bodies.len()];
    for (run, all) in telling.iter().enumerate() {
        for &n in all {
            runs[n].push(run);
        }
    }

    let mut in_sight = vec![0u32; telling.len()];
    let mut in_common = vec![0u64; bodies.len()];
    let mut left: Vec<usize> = (0..bodies.len()).collect();
    let (mut order, mut last, mut length) = (Vec::new(), VecDeque::new(), 0);
    let merit = |n: usize, in_common: u64| in_common * in_common * 1_000 / (bodies[n].len() as u64 + 10);
    while let Some((at, &next)) = left
        .iter()
        .enumerate()
        .max_by_key(|&(_, &n)| (merit(n, in_common[n]), bodies[n].len(), usize::MAX - n))
    {
        left.swap_remove(at);
        order.push(next);
        last.push_back(next);
        length += bodies[next].len();
        for &run in &runs[next] {
            in_sight[run] += 1;
            if in_sight[run] == 1 {
                telling[run].iter().for_each(|&n| in_common[n] += 1);
            }
        }
        while length > LOOK_BACK && last.len() > 1 {
            let Some(gone) = last.pop_front() else { break };
            length -= bodies[gone].len();
            for &run in &runs[gone] {
                in_sight[run] -= 1;
                if in_sight[run] == 0 {
                    telling[run].iter().for_each(|&n| in_common[n] -= 1);
                }
            }
        }
    }
    order
}

/// Writes a module anew, with every function where it belongs now.
struct Moving {
    /// So many functions come from elsewhere, and keep their numbers.
    imported: u32,
    /// Which function is at each place.
    order: Vec<usize>,
    /// At which place each function is.
    places: Vec<u32>,
}

impl Reencode for Moving {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Infallible>> {
        let local = function.checked_sub(self.imported).map(|local| self.places[local as usize]);
        Ok(local.map_or(function, |place| self.imported + place))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        let types = section.into_iter().collect::<Result<Vec<u32>, _>>()?;
        for &function in &self.order {
            functions.function(types[function]);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        let bodies = section.into_iter().collect::<Result<Vec<_>, _>>()?;
        for place in 0..bodies.len() {
            self.parse_function_body(code, bodies[self.order[place]].clone())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_comes_together() {
        let [a, b] = [b"abcdefghijklmnopqrstuvwxyz".as_slice(), b"0123456789!$%&/()=?".as_slice()];
        let order = order(&[a, b, &a[2..], &b[1..], &a[..20], b"so short"]);
        let like_a = |n: &usize| [0, 2, 4].contains(n);
        assert_eq!(order.iter().take_while(|n| like_a(n)).count(), 3, "{order:?}");
        assert_eq!(order.len(), 6);
    }
}
