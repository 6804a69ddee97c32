//! Fidelity, protocol compliance and utility of synthetic packet traces, with a report.
