//! Replays the corpora of the fuzz targets: what fuzzing once found stays found, without a fuzzer.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

use verbatim_wire::fuzzing;

type Target = (&'static str, fn(&[u8]));

/// Every target has a corpus, every corpus a target.
const TARGETS: [Target; 9] = [
    ("batch_header", fuzzing::batch_header),
    ("batch_walker", fuzzing::batch_walker),
    ("control_answer", fuzzing::control_answer),
    ("decompress", fuzzing::decompress),
    ("fetch_answer", fuzzing::fetch_answer),
    ("header_patch", fuzzing::header_patch),
    ("legacy", fuzzing::legacy),
    ("produce_answer", fuzzing::produce_answer),
    ("record_decoder", fuzzing::record_decoder),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_of_every_corpus_passes() {
    for (target, run) in TARGETS {
        let inputs = files(&root().join("corpus").join(target));
        assert!(!inputs.is_empty(), "{target}");
        for input in inputs {
            eprintln!("{}", input.display());
            run(&fs::read(input).unwrap());
        }
    }
}

#[test]
fn the_list_of_targets_is_complete() {
    let names = |folder: &str| -> Vec<String> {
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        files(&root().join(folder)).into_iter().map(stem).collect()
    };
    let listed = TARGETS.map(|(target, _)| target.to_owned());
    assert_eq!(names("fuzz_targets"), listed);
    assert_eq!(names("corpus"), listed);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}
