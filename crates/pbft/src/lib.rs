//! The PBFT protocol of Quorate as a sans-IO state machine.
