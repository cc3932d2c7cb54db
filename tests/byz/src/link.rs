//! A QUIC client of its own, with a member's transport key: it speaks the transport's first bytes as others do, and then
//! whatever it likes. No door in the node is needed for that.

use crate::error::ByzError;
use quinn::{Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use quorate_crypto::Ed25519Signer;
use quorate_node::FileConfig;
use quorate_proof::TrustRoot;
use quorate_types::layout::Writer;
use quorate_types::{ReplicaId, limits};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// What this client reads at most on one stream before it lets the peer write more.
const WINDOW: u32 = 4_096;

/// A liar does not care whom it talks to.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Dials members.
pub(crate) struct Dialler {
    endpoint: Endpoint,
    client: quinn::ClientConfig,
    addresses: Vec<(ReplicaId, SocketAddr)>,
    preface: Vec<u8>,
}

fn client(transport: &Ed25519Signer) -> Result<quinn::ClientConfig, ByzError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let document = PrivatePkcs8KeyDer::from(transport.to_pkcs8_der().to_vec());
    let private = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(document))?;
    let own = private.public_key().map(|key| CertificateDer::from(key.to_vec()));
    let own = own.ok_or_else(|| Error::General("no public key for the transport key".to_owned()))?;
    let key = Arc::new(CertifiedKey::new(vec![own], private));
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    tls.alpn_protocols = vec![b"quorate/1".to_vec()];
    let quic = quinn::crypto::rustls::QuicClientConfig::try_from(tls)
        .map_err(|error| Error::General(error.to_string()))?;
    let mut client = quinn::ClientConfig::new(Arc::new(quic));
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(WINDOW)).receive_window(VarInt::from_u32(4 * WINDOW));
    client.transport_config(Arc::new(transport));
    Ok(client)
}

/// The first bytes of a connection, as docs/formats.md has them.
fn preface(trust: &TrustRoot, name: &str) -> Vec<u8> {
    let body = Writer::tagged("quorate/preface/v1")
        .u32(limits::FORMAT)
        .fixed(&trust.ledger().0)
        .short(b"byz")
        .short(name.as_bytes())
        .finish();
    Writer::untagged().long(&body).finish()
}

impl Dialler {
    /// With the addresses of a member's configuration and genesis. To be made on a runtime.
    pub(crate) fn new(
        config: &FileConfig,
        trust: &TrustRoot,
        me: ReplicaId,
        transport: &Ed25519Signer,
    ) -> Result<Self, ByzError> {
        let members = trust.genesis().members.iter().zip(ReplicaId::all(trust.members().count()));
        let others = members.filter(|(_, id)| *id != me);
        let address = |(member, id): (&quorate_types::GenesisMember, ReplicaId)| {
            let text = config.peer.addresses.get(&member.name).unwrap_or(&member.peer);
            Some((id, text.parse().ok()?))
        };
        Ok(Self {
            endpoint: Endpoint::client(SocketAddr::new(config.peer.listen.ip(), 0))?,
            client: client(transport)?,
            addresses: others.filter_map(address).collect(),
            preface: preface(trust, "liar"),
        })
    }

    /// The members that it can dial.
    pub(crate) fn peers(&self) -> Vec<ReplicaId> {
        self.addresses.iter().map(|(peer, _)| *peer).collect()
    }

    /// The bytes with which an honest member begins.
    pub(crate) fn preface(&self) -> &[u8] {
        &self.preface
    }

    /// A connection on which nothing was said yet.
    pub(crate) async fn connect(&self, peer: ReplicaId) -> Option<Connection> {
        let (_, address) = self.addresses.iter().find(|(other, _)| *other == peer)?;
        let connecting = self.endpoint.connect_with(self.client.clone(), *address, "quorate").ok()?;
        tokio::time::timeout(HANDSHAKE, connecting).await.ok()?.ok()
    }

    /// A connection on which both sides have said who they are, with the streams of that.
    pub(crate) async fn greet(&self, peer: ReplicaId) -> Option<(Connection, SendStream, RecvStream)> {
        let connection = self.connect(peer).await?;
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        send.write_all(&self.preface).await.ok()?;
        let mut length = [0; 4];
        tokio::time::timeout(HANDSHAKE, receive.read_exact(&mut length)).await.ok()?.ok()?;
        Some((connection, send, receive))
    }
}
