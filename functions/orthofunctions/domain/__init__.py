"""Pure: records, the policy, the state changes. No I/O, no clock of its own."""
