//! nginx in a server's namespace: one process that answers each request with its server's name.

use super::plan::{self, Family};
use super::process::Process;
use super::segment::Server;
use super::{Lab, eventually};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

/// The port on which it serves.
pub const HTTP_PORT: u16 = 80;

/// What a server answers to any request.
pub fn page(server: usize) -> String {
    format!("server {server}")
}

/// A web server; ended when this is dropped.
#[derive(Debug)]
pub struct Nginx(Process);

impl Nginx {
    /// Starts one in a server's namespace and waits until it accepts connections.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start(lab: &Lab, server: &Server) -> Self {
        let dir = lab.scratch.path(&format!("nginx{}", server.number));
        std::fs::create_dir(&dir).expect("a directory for nginx");
        let config = lab.scratch.write(
            &format!("nginx{}.conf", server.number),
            &config(&dir, server.number, lab.families().contains(&Family::V6)),
        );
        let config = config.to_string_lossy();
        let prefix = dir.to_string_lossy();
        let args = ["-p", &*prefix, "-c", &*config, "-e", "stderr"];
        let nginx = Self(server.start(&lab.scratch, "nginx", &args));
        let addr: SocketAddr = (plan::server(Family::V4, server.number), HTTP_PORT).into();
        let answers = || server.enter(|| TcpStream::connect(addr).is_ok());
        assert!(
            eventually(answers),
            "nginx does not come up: {}",
            nginx.0.stderr()
        );
        nginx
    }

    /// What it complained about.
    pub fn complaints(&self) -> String {
        self.0.stderr()
    }
}

/// One process in the foreground under the caller's user (who is root in the namespace), all its
/// files in `dir`. The pid file is a real one: nginx deletes it at its end, /dev/null included.
fn config(dir: &Path, number: usize, ipv6: bool) -> String {
    let dir = dir.display();
    let page = page(number);
    let listen6 = if ipv6 {
        format!("listen [::]:{HTTP_PORT} backlog=4096;")
    } else {
        String::new()
    };
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {dir}/{kind};\n"))
        .concat();
    format!(
        "user root root;\ndaemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n  access_log off;\n{paths}  server {{\n    \
         listen {HTTP_PORT} backlog=4096; {listen6}\n    \
         location / {{ return 200 \"{page}\\n\"; }}\n  }}\n}}\n"
    )
}
