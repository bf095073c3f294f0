//! `stack ca`: the local certificate authority, and how to trust it.

mod trust;

use std::{
    env,
    fmt::{self, Write},
    path::Path,
};

use anyhow::Context;
use stack_front::LocalCa;

use crate::{Exit, cli::CaAction};

/// Prints, or does, what is to be done so that browsers trust what `--tls self-signed` shows them.
pub(crate) fn run(action: CaAction) -> anyhow::Result<Exit> {
    let directory = stack_config::local_ca(|name| env::var_os(name).map(Into::into));
    let directory = directory.context("no place for the local certificate authority: set XDG_DATA_HOME or HOME")?;
    let ca = LocalCa::open(&directory)?;
    match action {
        CaAction::Instructions => super::print(instructions(&ca.certificate_path())?.as_bytes())?,
        CaAction::Print => super::print(ca.certificate_pem().as_bytes())?,
        CaAction::Trust => return trust::run(&ca),
    }
    Ok(Exit::Success)
}

fn instructions(certificate: &Path) -> Result<String, fmt::Error> {
    let file = certificate.display();
    let mut text = String::new();
    writeln!(
        text,
        "The certificate of the local authority is in\n\n    {file}\n\n\
         Whatever trusts it trusts `stack serve --tls self-signed` on this machine, also after a restart. `stack ca trust` does\n\
         what it can of this; by hand:\n"
    )?;
    let steps = [
        (
            "Debian, Ubuntu",
            format!(
                "sudo cp {file} /usr/local/share/ca-certificates/stack-local-ca.crt && sudo update-ca-certificates"
            ),
        ),
        (
            "Fedora, RHEL",
            format!("sudo cp {file} /etc/pki/ca-trust/source/anchors/stack-local-ca.pem && sudo update-ca-trust"),
        ),
        ("Arch", format!("sudo trust anchor --store {file}")),
        (
            "Alpine",
            format!(
                "sudo cp {file} /usr/local/share/ca-certificates/stack-local-ca.crt && sudo update-ca-certificates"
            ),
        ),
        ("macOS", format!("security add-trusted-cert -k ~/Library/Keychains/login.keychain-db {file}")),
        ("Windows", "certutil -user -addstore Root ca.pem, with a copy of the file".to_owned()),
        ("Chromium on Linux", format!("certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n stack-local-ca -i {file}")),
        ("Firefox", "Settings, Certificates, View Certificates, Authorities, Import".to_owned()),
        ("Python, requests", format!("SSL_CERT_FILE={file}, REQUESTS_CA_BUNDLE={file}")),
        ("curl", format!("curl --cacert {file}")),
    ];
    for (place, step) in steps {
        writeln!(text, "{place:18} {step}")?;
    }
    writeln!(
        text,
        "\nIts key is beside it. Whoever has the key can pose as any site to you: it belongs on this machine only."
    )?;
    Ok(text)
}
