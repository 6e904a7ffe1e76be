"""Benchmarks: Settle beside its peers, in one call and on one machine. `make bench` writes `docs/benchmarks.md`."""
