//! QUIC links between replicas with mutual raw public keys. Moves bytes, knows no message.
