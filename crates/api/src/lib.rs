//! The gRPC client API of Quorate: generated code and its conversions.
