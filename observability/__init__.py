"""What is seen from outside: metrics, traces, logs, and the checks of `settle doctor` and a worker's start."""
