//! Write-ahead log, block store, index and state versions of Quorate.
