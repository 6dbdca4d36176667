"""The meter: every answered call is spooled before its answer ends, and counted once (design, section 6; docs/metering.md)."""
