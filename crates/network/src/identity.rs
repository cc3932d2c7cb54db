//! Who is at the other end: raw Ed25519 public keys, checked against the member set in the TLS verifier.

use quorate_crypto::Ed25519Signer;
use quorate_types::{Members, PublicKey, ReplicaId};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo.
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why the own identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("TLS refuses the transport key: {0}")]
    Tls(#[from] Error),
    #[error("the TLS library gives no public key for the transport key")]
    NoPublicKey,
    #[error("QUIC refuses the TLS configuration")]
    NoInitialCipherSuite,
}

/// The Ed25519 key in a SubjectPublicKeyInfo, if it is exactly one.
pub(crate) fn key_of(spki: &[u8]) -> Option<PublicKey> {
    let key = spki.strip_prefix(&ED25519_SPKI)?;
    key.try_into().ok().map(PublicKey)
}

/// Accepts the transport keys of members; when dialling, of exactly the member dialled.
#[derive(Debug)]
struct MemberVerifier {
    members: Arc<Members>,
    expected: Option<ReplicaId>,
    me: ReplicaId,
    algorithms: WebPkiSupportedAlgorithms,
}

impl MemberVerifier {
    fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Result<(), Error> {
        let refused = |why: &str| Err(Error::General(why.to_owned()));
        if !intermediates.is_empty() {
            return refused("a raw public key has no chain");
        }
        let member = key_of(end_entity.as_ref()).and_then(|key| self.members.by_transport_key(&key));
        match (member, self.expected) {
            (None, _) => refused("the key belongs to no member"),
            (Some(member), _) if member == self.me => refused("the key is this member's own"),
            (Some(member), Some(expected)) if member != expected => refused("the key is another member's"),
            (Some(_), _) => Ok(()),
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(cert.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms)
    }
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3".to_owned())
}

impl ServerCertVerifier for MemberVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The own identity and how peers are checked.
pub(crate) struct Identity {
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
    members: Arc<Members>,
    me: ReplicaId,
}

impl Identity {
    pub(crate) fn new(
        signer: &Ed25519Signer,
        members: Arc<Members>,
        me: ReplicaId,
    ) -> Result<Self, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pkcs8 = PrivatePkcs8KeyDer::from(signer.to_pkcs8_der().to_vec());
        let private = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(pkcs8))?;
        let spki = private.public_key().ok_or(IdentityError::NoPublicKey)?.to_vec();
        let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], private));
        Ok(Self { provider, key, members, me })
    }

    fn verifier(&self, expected: Option<ReplicaId>) -> Arc<MemberVerifier> {
        Arc::new(MemberVerifier {
            members: self.members.clone(),
            expected,
            me: self.me,
            algorithms: self.provider.signature_verification_algorithms,
        })
    }

    /// For connections that members with lower indices dial. No resumption, no tickets, no early data: a resumed session
    /// would skip the key check.
    pub(crate) fn server(&self) -> Result<quinn::crypto::rustls::QuicServerConfig, IdentityError> {
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(self.verifier(None))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![crate::preface::ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.try_into().map_err(|_| IdentityError::NoInitialCipherSuite)
    }

    /// For dialling one member.
    pub(crate) fn client(
        &self,
        peer: ReplicaId,
    ) -> Result<quinn::crypto::rustls::QuicClientConfig, IdentityError> {
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(Some(peer)))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![crate::preface::ALPN.to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_early_data = false;
        config.try_into().map_err(|_| IdentityError::NoInitialCipherSuite)
    }
}
