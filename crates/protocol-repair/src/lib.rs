//! Decode noisy packet matrices into protocol-correct captures.
