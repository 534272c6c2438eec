//! A folder of files for one test.

use std::fs;
use std::path::{Path, PathBuf};
use wootz_corpus::{CorpusError, build, read_documents};
use wootz_schema::corpus::{CorpusManifest, CorpusOptions};
use wootz_schema::document::Document;
use wootz_schema::progress::Silent;

pub const MIT: &str = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software \
    and associated documentation files … this permission notice shall be included in all copies";

pub struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    pub fn new(files: &[(&str, &str)]) -> Tree {
        let tree = Tree { folder: tempfile::tempdir().unwrap() };
        files.iter().for_each(|(path, text)| tree.put(path, text.as_bytes()));
        fs::create_dir_all(tree.source()).unwrap();
        tree
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.source().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn source(&self) -> PathBuf {
        self.folder.path().join("src")
    }

    pub fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Everything beside the source, hidden leftovers included.
    pub fn beside(&self) -> Vec<String> {
        names(self.folder.path()).into_iter().filter(|name| name != "src").collect()
    }

    pub fn options(&self) -> CorpusOptions {
        CorpusOptions { sources: vec![self.source()], threads: Some(2), ..CorpusOptions::default() }
    }

    pub fn build(&self, options: &CorpusOptions) -> Result<CorpusManifest, CorpusError> {
        build(options, &self.out(), &Silent)
    }

    pub fn documents(&self) -> Vec<Document> {
        read_documents(&self.out()).unwrap().map(Result::unwrap).collect()
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
