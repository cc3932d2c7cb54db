//! Why a liar cannot even begin.

use quorate_crypto::KeyError;
use quorate_node::NodeError;
use quorate_node::config::ConfigError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ByzError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Node(#[from] NodeError),
    #[error("{0}")]
    Key(#[from] KeyError),
    #[error("the genesis cannot be used: {0}")]
    Genesis(String),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("no {1} lies in the way {0}")]
    UnknownWay(u16, &'static str),
    #[error("log.level is not understood: {0}")]
    LogLevel(String),
    #[error("the parent is gone")]
    ParentIsGone,
}
