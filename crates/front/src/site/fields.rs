//! The fields that a site sets, adds or removes in all its responses.

use http::{HeaderMap, HeaderName, HeaderValue};
use stack_config::FieldRule;

/// The changes, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Fields(Vec<Change>);

#[derive(Debug)]
enum Change {
    Set(HeaderName, HeaderValue),
    Add(HeaderName, HeaderValue),
    Remove(HeaderName),
}

impl Fields {
    pub(super) fn new(rules: &[FieldRule]) -> Self {
        let name = |name: &str| HeaderName::try_from(name).expect("the configuration checked the name");
        let value = |value: &str| HeaderValue::try_from(value).expect("the configuration checked the value");
        let changes = rules.iter().map(|rule| match rule {
            FieldRule::Set(field, text) => Change::Set(name(field), value(text)),
            FieldRule::Add(field, text) => Change::Add(name(field), value(text)),
            FieldRule::Remove(field) => Change::Remove(name(field)),
        });
        Self(changes.collect())
    }

    /// Whether this one is changed.
    pub(super) fn change(&self, field: &HeaderName) -> bool {
        self.0.iter().any(|change| match change {
            Change::Set(name, _) | Change::Add(name, _) | Change::Remove(name) => name == field,
        })
    }

    pub(super) fn apply(&self, fields: &mut HeaderMap) {
        for change in &self.0 {
            match change {
                Change::Set(name, value) => {
                    fields.insert(name.clone(), value.clone());
                }
                Change::Add(name, value) => {
                    fields.append(name.clone(), value.clone());
                }
                Change::Remove(name) => {
                    fields.remove(name);
                }
            }
        }
    }
}
