"""The peers, each written as its own documentation says. Every job: one POST, then GETs until it is complete.

They are told by the environment: `BENCH_REDIS`, `BENCH_URL`, `BENCH_INTERVAL`. Run as a script with a number, a module
triggers so many jobs.
"""
