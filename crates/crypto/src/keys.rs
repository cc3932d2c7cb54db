//! Ed25519 keys: signing, key files, and the text form of public keys.
//!
//! Key files are PKCS#8 version 1 PEM, which OpenSSL and everyone else reads, encrypted with PBES2 if there is a passphrase;
//! only their owner may read them.

use crate::signer::Signer;
use bech32::{Bech32m, Hrp};
use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs8::pkcs5::scrypt::Params;
use pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding, PrivateKeyInfoRef};
use quorate_types::{PublicKey, Signature};
use std::io::Write;
use std::path::Path;
use zeroize::Zeroizing;

/// The prefix of a public key's text form.
const HRP: Hrp = Hrp::parse_unchecked("qpk");

/// Scrypt's cost: 16 MiB and some hundredths of a second. OpenSSL refuses what takes more than 32 MiB.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;
/// What an encrypted PEM file calls itself.
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Why a key or key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    #[error("{0} can be read by others than its owner (mode {1:o})")]
    Permissions(String, u32),
    #[error("{0} exists already")]
    Exists(String),
    #[error("{0} is no PKCS#8 PEM file of an Ed25519 private key")]
    NotAKeyFile(String),
    #[error("{0} is encrypted")]
    Encrypted(String),
    #[error("the passphrase does not open {0}")]
    WrongPassphrase(String),
    #[error("{0:?} is no public key of the form qpk1…")]
    NotAPublicKey(String),
    #[error("the public key is malformed, not canonical, or of small order")]
    WeakPublicKey,
}

/// An Ed25519 private key in memory; erased when dropped.
#[derive(Clone)]
pub struct Ed25519Signer {
    key: SigningKey,
}

impl std::fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ed25519Signer({})", public_key_to_text(&self.public_key()))
    }
}

impl Ed25519Signer {
    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(seed) }
    }

    /// A fresh key from the system's randomness.
    ///
    /// # Panics
    /// If the system gives no randomness.
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).expect("the system gives randomness");
        Self::from_seed(&seed)
    }

    /// The 32-byte seed, for TLS libraries that take a PKCS#8 document of their own making.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let document = self.keypair().to_pkcs8_der().expect("32 bytes encode");
        Zeroizing::new(document.as_bytes().to_vec())
    }

    fn keypair(&self) -> KeypairBytes {
        KeypairBytes { secret_key: self.key.to_bytes(), public_key: None }
    }

    /// The key as PKCS#8 version 1 PEM.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.keypair().to_pkcs8_pem(LineEnding::LF).expect("32 bytes encode")
    }

    /// The key as PKCS#8 PEM, encrypted with PBES2: scrypt and AES-256-CBC.
    ///
    /// # Panics
    /// If the system gives no randomness.
    pub fn to_encrypted_pem(&self, passphrase: &str) -> Zeroizing<String> {
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        getrandom::fill(&mut salt).expect("the system gives randomness");
        getrandom::fill(&mut iv).expect("the system gives randomness");
        let cost = Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P).expect("constants within scrypt's bounds");
        let parameters = Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).expect("a salt of 16 bytes");
        let document = self.keypair().to_pkcs8_der().expect("32 bytes encode");
        let plain = PrivateKeyInfoRef::try_from(document.as_bytes()).expect("what was just encoded");
        let encrypted = plain.encrypt_with_params(parameters, passphrase).expect("any passphrase encrypts");
        encrypted.to_pem(ENCRYPTED_LABEL, LineEnding::LF).expect("a document encodes")
    }

    /// Reads PKCS#8 PEM, encrypted or not. `name` is for the message.
    ///
    /// # Errors
    /// If the text is no such file, or the passphrase is missing or wrong.
    pub fn from_pem(pem: &str, name: &str, passphrase: Option<&str>) -> Result<Self, KeyError> {
        let bytes: KeypairBytes = if pem.contains(ENCRYPTED_LABEL) {
            let passphrase = passphrase.ok_or_else(|| KeyError::Encrypted(name.to_owned()))?;
            KeypairBytes::from_pkcs8_encrypted_pem(pem, passphrase)
                .map_err(|_| KeyError::WrongPassphrase(name.to_owned()))?
        } else {
            pem.parse().map_err(|_| KeyError::NotAKeyFile(name.to_owned()))?
        };
        Ok(Self::from_seed(&bytes.secret_key))
    }

    /// Writes a new key file that only its owner may read, encrypted if there is a passphrase; never overwrites.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn write_file(&self, path: &Path, passphrase: Option<&str>) -> Result<(), KeyError> {
        use std::os::unix::fs::OpenOptionsExt;
        let name = path.display().to_string();
        let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => KeyError::Exists(name.clone()),
            _ => KeyError::Io(name.clone(), error),
        })?;
        let pem = passphrase.map_or_else(|| self.to_pem(), |passphrase| self.to_encrypted_pem(passphrase));
        let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| KeyError::Io(name, error))
    }

    /// Reads a key file that only its owner may read.
    ///
    /// # Errors
    /// If it cannot be read, others may read it, it is no key, or the passphrase is missing or wrong.
    pub fn read_file(path: &Path, passphrase: Option<&str>) -> Result<Self, KeyError> {
        Self::from_pem(&read_private(path)?, &path.display().to_string(), passphrase)
    }
}

/// Reads a file that nobody but its owner may read.
fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let name = path.display().to_string();
    let io = |error| KeyError::Io(name.clone(), error);
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Permissions(name, mode));
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(io)
}

/// Reads a passphrase: the first line of a file that only its owner may read.
///
/// # Errors
/// If it cannot be read or others may read it.
pub fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let text = read_private(path)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

impl Signer for Ed25519Signer {
    fn public_key(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.key.sign(bytes).to_bytes())
    }
}

/// `qpk1…`: bech32m of the 32 bytes.
///
/// # Panics
/// Never: 32 bytes always fit.
pub fn public_key_to_text(key: &PublicKey) -> String {
    bech32::encode::<Bech32m>(HRP, &key.0).expect("32 bytes fit")
}

/// Reads `qpk1…`.
///
/// # Errors
/// If the text is no public key.
pub fn public_key_from_text(text: &str) -> Result<PublicKey, KeyError> {
    let refused = || KeyError::NotAPublicKey(text.to_owned());
    let checked =
        bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|_| refused())?;
    let bytes: Vec<u8> = checked.byte_iter().collect();
    let key = <[u8; 32]>::try_from(bytes).map(PublicKey).map_err(|_| refused())?;
    // One text for each key: another prefix, or padding bits that say something, are refused.
    if public_key_to_text(&key) == text.to_ascii_lowercase() { Ok(key) } else { Err(refused()) }
}

/// Refuses keys under which a signature proves nothing, and encodings that libraries disagree on (G5).
///
/// # Errors
/// If the key is malformed, not canonical, or of small order.
pub fn check_public_key(key: &PublicKey) -> Result<(), KeyError> {
    let parsed = VerifyingKey::from_bytes(&key.0).map_err(|_| KeyError::WeakPublicKey)?;
    let canonical = parsed.to_edwards().compress().to_bytes() == key.0;
    if parsed.is_weak() || !canonical { Err(KeyError::WeakPublicKey) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
