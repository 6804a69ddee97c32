//! Packet captures to and from ternary bit matrices in the nPrint representation.
