//! `stack man`: the manual page.

use clap_mangen::Man;

use crate::{Exit, cli};

/// Prints the page as roff.
pub(crate) fn run() -> anyhow::Result<Exit> {
    super::print(&page()?)?;
    Ok(Exit::Success)
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(cli::manual()).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_on_the_page() {
        let page = String::from_utf8(page().unwrap()).unwrap().replace("\\-", "-");
        for key in stack_config::keys() {
            assert!(page.contains(&format!("--{}", key.flag())), "{}", key.name);
        }
    }
}
