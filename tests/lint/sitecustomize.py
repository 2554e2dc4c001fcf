"""Python runs this at its start where `make lint` puts this folder on PYTHONPATH: in sqlfluff and all its processes.

sqlfluff makes a million objects for a file, which stay while it is linted: looking for garbage among them every 700 new
ones was more than a quarter of its time.
"""

import gc

gc.set_threshold(100_000, 20, 10)
