//! Just enough of ELF to say whether a program is static: 64-bit little-endian program headers and the dynamic section.
//!
//! Static means that the kernel alone can start it: no interpreter (`PT_INTERP`) and no shared library (`DT_NEEDED`). A static
//! position-independent program still has a dynamic section, for its own relocations; that is fine.

use std::fmt;

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const DYNAMIC_ENTRY_BYTES: usize = 16;

/// What makes a program depend on more than the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// It asks for a dynamic linker.
    pub interpreter: bool,
    /// Number of shared libraries it asks for.
    pub libraries: usize,
}

impl Needs {
    /// Whether it needs nothing.
    pub fn is_static(&self) -> bool {
        *self == Self::default()
    }
}

/// Why the bytes are not a program this can judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Not a 64-bit little-endian ELF file.
    Foreign,
    /// A table points outside the file.
    CutShort,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Foreign => "not a 64-bit little-endian ELF program",
            Self::CutShort => "an ELF table points outside the file",
        })
    }
}

impl std::error::Error for Error {}

/// What the program in `file` needs.
pub fn needs(file: &[u8]) -> Result<Needs, Error> {
    if !file.starts_with(b"\x7fELF\x02\x01") || file.len() < HEADER_BYTES {
        return Err(Error::Foreign);
    }
    let table = offset(u64_at(file, 32)?)?;
    let entry_bytes = usize::from(u16_at(file, 54)?);
    let entries = usize::from(u16_at(file, 56)?);
    if entry_bytes < PROGRAM_HEADER_BYTES {
        return Err(Error::Foreign);
    }
    let mut needs = Needs::default();
    for entry in 0..entries {
        let at = table.checked_add(entry * entry_bytes).ok_or(Error::CutShort)?;
        match u32_at(file, at)? {
            PT_INTERP => needs.interpreter = true,
            PT_DYNAMIC => {
                let from = offset(u64_at(file, at + 8)?)?;
                let bytes = offset(u64_at(file, at + 32)?)?;
                let to = from.checked_add(bytes).ok_or(Error::CutShort)?;
                let dynamic = file.get(from..to).ok_or(Error::CutShort)?;
                let tags = dynamic.chunks_exact(DYNAMIC_ENTRY_BYTES).map(|entry| u64_at(entry, 0));
                needs.libraries += tags.filter(|tag| *tag == Ok(DT_NEEDED)).count();
            }
            _ => {}
        }
    }
    Ok(needs)
}

fn offset(value: u64) -> Result<usize, Error> {
    usize::try_from(value).map_err(|_| Error::CutShort)
}

fn bytes_at<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], Error> {
    let rest = file.get(at..).ok_or(Error::CutShort)?;
    rest.first_chunk::<N>().copied().ok_or(Error::CutShort)
}

fn u16_at(file: &[u8], at: usize) -> Result<u16, Error> {
    bytes_at(file, at).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], at: usize) -> Result<u32, Error> {
    bytes_at(file, at).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], at: usize) -> Result<u64, Error> {
    bytes_at(file, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of nothing but a header, the given program headers (type, offset, size), and a tail.
    fn program(headers: &[(u32, u64, u64)], tail: &[u8]) -> Vec<u8> {
        let mut file = vec![0; HEADER_BYTES];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&u16::try_from(headers.len()).unwrap().to_le_bytes());
        for (kind, offset, size) in headers {
            let mut header = vec![0; PROGRAM_HEADER_BYTES];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[8..16].copy_from_slice(&offset.to_le_bytes());
            header[32..40].copy_from_slice(&size.to_le_bytes());
            file.extend(header);
        }
        file.extend_from_slice(tail);
        file
    }

    #[test]
    fn a_static_program_may_have_a_dynamic_section_without_libraries() {
        assert!(needs(&program(&[(1, 0, 0)], &[])).unwrap().is_static());
        assert!(needs(&program(&[(PT_DYNAMIC, 120, 32)], &[0; 32])).unwrap().is_static());
    }

    #[test]
    fn interpreters_and_libraries_are_seen() {
        assert_eq!(needs(&program(&[(PT_INTERP, 0, 0)], &[])), Ok(Needs { interpreter: true, libraries: 0 }));
        let mut dynamic = [0; 32];
        dynamic[0] = 1;
        let found = needs(&program(&[(PT_DYNAMIC, 120, 32)], &dynamic));
        assert_eq!(found, Ok(Needs { interpreter: false, libraries: 1 }));
    }

    #[test]
    fn nonsense_is_an_error() {
        assert_eq!(needs(b"#!/bin/sh\n"), Err(Error::Foreign));
        assert_eq!(needs(&program(&[(PT_DYNAMIC, 120, 32)], &[0; 31])), Err(Error::CutShort));
        assert_eq!(needs(&program(&[(PT_DYNAMIC, u64::MAX, 32)], &[])), Err(Error::CutShort));
    }

    /// The test binary itself is dynamic where the host's libc is.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn this_very_program_is_dynamic() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let found = needs(&own).unwrap();
        assert!(found.interpreter && found.libraries > 0, "{found:?}");
    }
}
