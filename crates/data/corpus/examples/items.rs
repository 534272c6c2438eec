//! Throwaway.
#![allow(missing_docs)]
fn show(i: &wootz_chunk::Item, s: &[u8], d: usize) { println!("{}{:?} {:?} {:?} | {}", " ".repeat(d), i.range, i.names, i.prefix, String::from_utf8_lossy(&s[i.range.clone()]).chars().take(70).collect::<String>().replace('\n', "⏎")); i.members.iter().for_each(|m| show(m, s, d + 2)); }
fn main() { let p = std::env::args().nth(1).unwrap(); let s = std::fs::read(&p).unwrap(); let l = wootz_chunk::detect(&p, &s).unwrap(); let parsed = wootz_chunk::Chunker::new().parse(l, &s); println!("errors {}", parsed.has_errors); parsed.items.iter().for_each(|i| show(i, &s, 0)); }
