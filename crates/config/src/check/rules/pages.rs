//! `error_page`: `STATUS=FILE`.

use std::fs::File;
use std::io::Read;

use super::super::Place;
use crate::{
    ErrorPage, ErrorStatus, LARGEST_ERROR_PAGE,
    error::{Reason, SiteReason},
};

pub(super) fn parse(place: Place<'_>, text: &str) -> Result<ErrorPage, Reason> {
    let (status, file) = text.split_once('=').ok_or(SiteReason::NotErrorPage)?;
    let (status, file) = (parse_status(status.trim())?, file.trim());
    if file.is_empty() {
        return Err(SiteReason::NotErrorPage.into());
    }
    let path = place.absolute(file);
    if path.is_dir() {
        return Err(Reason::IsDirectory(path));
    }
    let mut content = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(LARGEST_ERROR_PAGE + 1).read_to_end(&mut content));
    match read {
        Ok(_) if content.len() as u64 > LARGEST_ERROR_PAGE => Err(SiteReason::PageTooLarge.into()),
        Ok(_) => Ok(ErrorPage { status, path, content }),
        Err(error) => Err(Reason::Path { what: "can not read", path, error }),
    }
}

/// The first status that is there twice, by its place.
pub(super) fn repetition(pages: &[ErrorPage]) -> Option<(usize, Reason)> {
    pages.iter().enumerate().find_map(|(index, page)| {
        let taken = pages[..index].iter().any(|other| other.status == page.status);
        taken.then(|| (index, SiteReason::PatternTwice(page.status.to_string()).into()))
    })
}

fn parse_status(text: &str) -> Result<ErrorStatus, SiteReason> {
    match text.to_ascii_lowercase().as_str() {
        "4xx" => Ok(ErrorStatus::Class(4)),
        "5xx" => Ok(ErrorStatus::Class(5)),
        text => match text.parse() {
            Ok(code @ 400..=599) => Ok(ErrorStatus::Code(code)),
            _ => Err(SiteReason::Status(text.to_owned())),
        },
    }
}
