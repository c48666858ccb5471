//! Paths of files and sockets.

use std::path::PathBuf;

use super::Value;

/// Longest path of a socket.
const SOCKET_PATH_MAX_BYTES: usize = 90;

/// A file to be read; not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Value for FilePath {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("it is no path: write one such as /etc/uturn/users".to_owned());
        }
        Ok(Self(text.into()))
    }

    fn written(&self) -> toml::Value {
        self.0.display().to_string().into()
    }
}

/// Where the control socket is made, or that there is none. A socket's name has 108 bytes, and the
/// longer one it is made under must fit, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlPath {
    Off,
    At(PathBuf),
}

/// Stands in place of a path.
const OFF: &str = "off";

impl Value for ControlPath {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            OFF | "false" => return Ok(Self::Off),
            "on" | "true" => return Err("it is on by default: write a path, or off".to_owned()),
            _ => {}
        }
        let FilePath(path) = FilePath::read(text)?;
        let bytes = text.len();
        if bytes > SOCKET_PATH_MAX_BYTES {
            return Err(format!("it has {bytes} bytes: write {SOCKET_PATH_MAX_BYTES} at most"));
        }
        Ok(Self::At(path))
    }

    fn written(&self) -> toml::Value {
        match self {
            Self::Off => OFF.into(),
            Self::At(path) => path.display().to_string().into(),
        }
    }
}
