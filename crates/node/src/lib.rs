//! The Quorate node: threads, sockets, files, API server and metrics around the engine.
