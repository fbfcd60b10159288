//! An Apache of our own, on a loopback port.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{comes_up, free_port};

/// A running server that asks who is there by the scheme Digest: `tide` with the password `high water`, in the realm `tides`.
/// It ends with this value.
#[derive(Debug)]
pub struct Apache {
    child: Child,
    folder: TempDir,
    address: SocketAddr,
}

impl Apache {
    /// Starts one that serves a file `f` with this in it. `None`: it is not installed.
    pub fn new(text: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        // Started as root, it reads as somebody else.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(path("site")).unwrap();
        fs::write(path("site/f"), text).unwrap();
        // The last is the MD5 of all three: `htdigest` writes such files.
        fs::write(path("users"), "tide:tides:9c0d6f9ffe9c00d9b36f7bfc37e65275\n").unwrap();
        let modules: String = ["mpm_prefork", "authn_core", "authn_file", "authz_core", "authz_user", "auth_digest"]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .concat();
        for _ in 0..5 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            let config = format!(
                "{modules}ServerName localhost\nListen {address}\nUser nobody\nGroup nogroup\n\
                 PidFile {}\nDefaultRuntimeDir {}\nErrorLog {}\nDocumentRoot {}\n\
                 <Location />\nAuthType Digest\nAuthName tides\nAuthDigestProvider file\nAuthUserFile {}\n\
                 Require valid-user\n</Location>\n",
                path("pid"),
                folder.path().display(),
                path("log"),
                path("site"),
                path("users"),
            );
            fs::write(path("conf"), config).unwrap();
            // One process, which does not go into the background.
            let mut command = Command::new("/usr/sbin/apache2");
            command.arg("-X").arg("-f").arg(path("conf"));
            let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let mut child = spawned.ok()?;
            if comes_up(&mut child, address) {
                return Some(Self { child, folder, address });
            }
        }
        panic!("apache2 does not start: {:?}", fs::read_to_string(path("log")));
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// What it has logged of errors.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
