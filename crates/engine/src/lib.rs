//! Sans-IO host around the PBFT core, run alike by node and simulator.
