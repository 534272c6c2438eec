//! The file of choices: read once, written whole after each new choice. What cannot be read or written costs time only.

use std::path::PathBuf;
use wootz_schema::tuning::{Machine, PRODUCTS_FILE_NAME, ProductChoice, ProductChoices};
use wootz_stdx::file::write_atomic;

/// Choices in memory, and where they are kept.
pub(super) struct Choices {
    known: ProductChoices,
    path: Option<PathBuf>,
}

impl Choices {
    /// Those of the folder, where they hold for this machine.
    pub(super) fn open(folder: Option<PathBuf>, machine: Machine) -> Choices {
        let path = folder.map(|folder| folder.join(PRODUCTS_FILE_NAME));
        let mut choices = Choices { known: ProductChoices::new(machine), path };
        choices.merge();
        choices
    }
    pub(super) fn find(&self, key: &str) -> Option<&ProductChoice> {
        self.known.choices.get(key)
    }
    pub(super) fn insert(&mut self, key: String, choice: ProductChoice) {
        // Another process may have written since.
        self.merge();
        self.known.choices.insert(key, choice);
        if let Some(path) = &self.path {
            let folder = path.parent().map(std::fs::create_dir_all);
            if matches!(folder, Some(Ok(()))) {
                write_atomic(path, &self.known.to_bytes()).ok();
            }
        }
    }
    /// Adds what the file has and memory has not.
    fn merge(&mut self) {
        let bytes = self.path.as_ref().and_then(|path| std::fs::read(path).ok());
        let read = bytes.and_then(|bytes| ProductChoices::read(&bytes, &self.known.machine));
        for (key, choice) in read.into_iter().flat_map(|read| read.choices) {
            self.known.choices.entry(key).or_insert(choice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(driver: i32) -> Machine {
        Machine { device: "test".to_owned(), driver, library: 1 }
    }

    fn choice(microseconds: f64) -> ProductChoice {
        ProductChoice { algorithm: "00".to_owned(), workspace_bytes: 0, microseconds: Some(microseconds) }
    }

    #[test]
    fn choices_come_back_on_the_same_machine_only() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = Some(root.path().join("not/yet"));
        let mut first = Choices::open(folder.clone(), machine(1));
        let mut second = Choices::open(folder.clone(), machine(1));
        first.insert("a".to_owned(), choice(1.0));
        second.insert("b".to_owned(), choice(2.0));
        let again = Choices::open(folder.clone(), machine(1));
        assert_eq!(again.find("a"), Some(&choice(1.0)), "kept by whoever writes later");
        assert_eq!(again.find("b"), Some(&choice(2.0)));
        let mut foreign = Choices::open(folder.clone(), machine(2));
        assert_eq!(foreign.find("a"), None);
        foreign.insert("c".to_owned(), choice(3.0));
        assert_eq!(Choices::open(folder, machine(1)).find("a"), None, "replaced");
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = Some(root.path().to_owned());
        std::fs::write(root.path().join(PRODUCTS_FILE_NAME), b"{\"version\":2,").expect("a file");
        let mut choices = Choices::open(folder.clone(), machine(1));
        assert_eq!(choices.find("a"), None);
        choices.insert("a".to_owned(), choice(1.0));
        assert_eq!(Choices::open(folder, machine(1)).find("a"), Some(&choice(1.0)));
    }
}
