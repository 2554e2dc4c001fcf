"""Ritorno: the retention warehouse around its dbt project."""

import os

# before numpy is imported anywhere: our linear algebra is of four rows, for which OpenBLAS's threads only wait for each
# other, three of five seconds of CPU in a fit; and a fit doesn't depend on how many cores there are
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
