"""A Celery worker on a machine whose clock is wrong: `python -m tests.faults.shifted SECONDS worker …`."""

import sys
import time

from celery.__main__ import main

if __name__ == "__main__":
    shift, true_time = float(sys.argv[1]), time.time
    time.time = lambda: true_time() + shift
    sys.argv = ["celery", "-A", "config.celery_app", *sys.argv[2:]]
    main()
