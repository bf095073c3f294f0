//! Tables that stand for texts: `mount = { "/shop" = "shop.wsgi" }` is `mount = ["/shop=shop.wsgi"]`, and so is
//! `[[mount]]` with `prefix` and `app`. Every source has its values in one form so, with one check and one message.

use figment::value::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{form, scalar};
use crate::{error::Reason, keys::Key};

/// How a key is written as a table.
struct Shape {
    /// Between name and value of a table without fields.
    between: &'static str,
    /// The names of a table with fields, in the order of the text. The first two are needed, the last one in a redirect is
    /// not.
    fields: &'static [&'static str],
}

fn shape(key: &Key) -> Option<Shape> {
    let (between, fields): (_, &[_]) = match key.name {
        "mount" => ("=", &["prefix", "app"]),
        "redirect" => (ARROW, &["from", "to", "status"]),
        "rewrite" => (ARROW, &["from", "to"]),
        "return" => ("", &["from", "status", "body"]),
        "header" => (": ", &[]),
        "error_page" => ("=", &[]),
        _ => return None,
    };
    Some(Shape { between, fields })
}

/// Between the two sides of a rule, whatever is in them.
const ARROW: &str = " -> ";

/// Adds what an element of an array, or a value that is none, comes to: each text with its offset in the file.
pub(super) fn texts(
    key: &'static Key,
    value: &Spanned<DeValue<'_>>,
    wanted: &'static str,
    into: &mut Vec<(usize, Value)>,
) -> Result<(), (usize, Reason)> {
    let start = value.span().start;
    match (value.get_ref(), shape(key)) {
        (DeValue::Table(table), Some(shape)) => {
            if shape.fields.iter().any(|field| table.contains_key(*field)) {
                into.push((start, with_fields(key, &shape, table, start)?.into()));
                return Ok(());
            }
            // The parser sorts them by name, and some rules count in the order of the file.
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(name, _)| name.span().start);
            for (name, value) in entries {
                let offset = name.span().start;
                let name = name.get_ref().as_ref();
                let text = text(value, "text")?;
                // A field that is removed has no value.
                let is_bare = shape.between.is_empty() || (key.name == "header" && name.starts_with('-'));
                let text = if is_bare { name.to_owned() } else { format!("{name}{}{text}", shape.between) };
                into.push((offset, text.into()));
            }
            Ok(())
        }
        (other, _) => {
            into.push((start, scalar(other).ok_or_else(|| (start, form(wanted, other)))?));
            Ok(())
        }
    }
}

fn with_fields(key: &'static Key, shape: &Shape, table: &DeTable<'_>, start: usize) -> Result<String, (usize, Reason)> {
    if let Some(name) = table.keys().find(|name| !shape.fields.contains(&name.get_ref().as_ref())) {
        let distance = |field: &&&str| strsim::damerau_levenshtein(field, name.get_ref());
        let nearest = shape.fields.iter().min_by_key(distance).map(|field| (*field).to_owned());
        return Err((name.span().start, Reason::UnknownKey { nearest }));
    }
    let field = |name: &str| table.get(name).map(|value| text(value, "text")).transpose();
    let needed = |name: &'static str| field(name)?.ok_or((start, Reason::FieldMissing(name)));
    Ok(match key.name {
        "mount" => format!("{}={}", needed("prefix")?, needed("app")?),
        "redirect" => {
            let status = field("status")?.map(|status| format!("{status} ")).unwrap_or_default();
            format!("{status}{}{ARROW}{}", needed("from")?, needed("to")?)
        }
        "rewrite" => format!("{}{ARROW}{}", needed("from")?, needed("to")?),
        _ => {
            let body = field("body")?.map(|body| format!("{ARROW}{body}")).unwrap_or_default();
            format!("{} {}{body}", needed("status")?, needed("from")?)
        }
    })
}

fn text(value: &Spanned<DeValue<'_>>, wanted: &'static str) -> Result<String, (usize, Reason)> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Boolean(boolean) => Ok(boolean.to_string()),
        other => Err((value.span().start, form(wanted, other))),
    }
}
