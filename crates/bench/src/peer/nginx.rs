//! nginx: alone for files, and in front of gunicorn as gunicorn's documentation asks for.

use std::{fmt::Write, fs, process::Command};

use super::{Abilities, Ability, Need, Peer, Setting, gunicorn};
use crate::{Error, scenario::Protocol};

pub(super) static ALONE: Peer = Peer {
    name: "nginx",
    about: "nginx with sendfile, for files",
    needs: &[Need::Nginx],
    abilities: Abilities(&[Ability::Files, Ability::Tls, Ability::Http2, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| Ok(vec![nginx(setting, "")?]),
};

pub(super) static WITH_GUNICORN: Peer = Peer {
    name: "nginx+gunicorn",
    about: "nginx in front of gunicorn with threads, over a Unix socket with keep-alive",
    needs: &[Need::Nginx, Need::Package("gunicorn")],
    abilities: Abilities(&[Ability::Applications, Ability::Tls, Ability::Http2, Ability::KeepAlive]),
    is_quick: true,
    commands: |setting| {
        let socket = format!("unix:{}", setting.folder.join("gunicorn.sock").display());
        let mut behind = gunicorn::threads(setting);
        behind.args(["--bind", &socket]);
        Ok(vec![behind, nginx(setting, &upstream(setting, &socket))?])
    },
};

/// The upstream of gunicorn's documentation, with connections that are kept: as many as there are threads to serve them.
fn upstream(setting: &Setting<'_>, socket: &str) -> String {
    let kept = setting.workers * setting.threads;
    format!(
        "upstream application {{ server {socket} fail_timeout=0; keepalive {kept}; keepalive_requests 1000000000; }}"
    )
}

fn nginx(setting: &Setting<'_>, upstream: &str) -> Result<Command, Error> {
    let program = setting
        .programs
        .nginx
        .as_ref()
        .ok_or_else(|| Error::Missing { what: "nginx".to_owned(), hint: "it was not installed".to_owned() })?;
    let path = setting.folder.join("nginx.conf");
    fs::write(&path, configuration(setting, upstream)).map_err(Error::file(&path))?;
    let mut command = setting.command(program);
    command.arg("-p").arg(&setting.folder).arg("-e").arg("stderr").arg("-c").arg(path);
    Ok(command)
}

fn configuration(setting: &Setting<'_>, upstream: &str) -> String {
    let folder = setting.folder.display();
    let (listen, tls) = if setting.is_tls() { listen_tls(setting) } else { (setting.address(), String::new()) };
    let proxy = if upstream.is_empty() { "" } else { PROXY };
    // One connection to a client, one to gunicorn, and some of nginx's own, in each worker if need be.
    let connections = 2 * setting.connections() + 512;
    let mut text = format!(
        "daemon off; worker_processes {}; pid {folder}/nginx.pid;\nworker_rlimit_nofile {};\n",
        setting.cpus,
        2 * connections
    );
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary = temporary.iter().fold(String::new(), |mut text, kind| {
        let _ = write!(text, " {kind}_temp_path {folder}/{kind};");
        text
    });
    let _ = writeln!(
        text,
        "events {{ worker_connections {connections}; }}
http {{
    access_log off; default_type application/octet-stream;
    sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 600s; keepalive_requests 1000000000;
    client_header_timeout 600s; client_max_body_size 4G;
   {temporary}
    {upstream}
    server {{
        listen {listen} backlog={}; server_name localhost;
        {tls}
        location /files/ {{ alias {}/; }}
        {proxy}
    }}
}}",
        setting.backlog,
        setting.site.files().display()
    );
    text
}

fn listen_tls(setting: &Setting<'_>) -> (String, String) {
    let http2 = if setting.scenario.protocol == Protocol::Http2 { " http2" } else { "" };
    let tls = format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3;",
        setting.site.certificate().display(),
        setting.site.key().display()
    );
    (format!("{} ssl{http2}", setting.address()), tls)
}

const PROXY: &str = "location / {
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Host $http_host;
            proxy_set_header Connection \"\";
            proxy_http_version 1.1; proxy_redirect off; proxy_read_timeout 600s;
            proxy_pass http://application;
        }";
