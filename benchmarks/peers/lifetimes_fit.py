"""What the archived package lifetimes says of the same customers. Runs in an environment of its own, without Ritorno.

    uv venv -p 3.11 /tmp/lifetimes
    VIRTUAL_ENV=/tmp/lifetimes uv pip install lifetimes==0.11.3 "pandas<2" "numpy<1.25" "scipy<1.11" setuptools
    .venv/bin/python -m benchmarks.peers.lifetimes_data customers.csv
    /tmp/lifetimes/bin/python benchmarks/peers/lifetimes_fit.py customers.csv > tests/value/lifetimes_0.11.3.json

Reads x, t_x, T (weeks) and spend; prints parameters, predictions for fixed customers, and CPU seconds.
"""

import json
import sys
import time
import warnings
from typing import Any

import pandas as pd
from lifetimes import BetaGeoFitter, GammaGammaFitter, ModifiedBetaGeoFitter, ParetoNBDFitter

warnings.simplefilter("ignore")
CUSTOMERS = [(0, 0.0, 30.0), (2, 30.43, 38.86), (9, 20.0, 50.0), (1, 1.0, 100.0)]


def fitted(fitter: BetaGeoFitter | ModifiedBetaGeoFitter | ParetoNBDFitter, data: pd.DataFrame) -> dict[str, Any]:
    """One model's figures."""
    start = time.process_time()
    fitter.fit(data.x, data.t_x, data["T"])
    seconds = time.process_time() - start
    expected, alive = [], []
    for x, t_x, end in CUSTOMERS:
        expected.append(float(fitter.conditional_expected_number_of_purchases_up_to_time(39, x, t_x, end)))
        # BG/NBD's answer to x = 0 is 1 by its formula
        probability = fitter.conditional_probability_alive(x, t_x, end)
        alive.append(float(getattr(probability, "item", lambda p=probability: p)()))
    return {
        "parameters": [float(value) for value in fitter.params_],
        "expected_39_weeks": expected,
        "p_alive": alive,
        "seconds": round(seconds, 2),
    }


def main(path: str) -> None:
    """Fit all four and print."""
    data = pd.read_csv(path)
    found = {
        "bg_nbd": fitted(BetaGeoFitter(penalizer_coef=0.0), data),
        "mbg_nbd": fitted(ModifiedBetaGeoFitter(penalizer_coef=0.0), data),
        "pareto_nbd": fitted(ParetoNBDFitter(penalizer_coef=0.0), data),
    }
    again = data[data.x > 0]
    spend = GammaGammaFitter(penalizer_coef=0.0)
    start = time.process_time()
    spend.fit(again.x, again.spend, tol=1e-5)  # at its default 1e-7 it gives up, "precision loss", at the same place
    found["gamma_gamma"] = {
        "parameters": [float(value) for value in spend.params_],
        "expected_spend": [float(v) for v in spend.conditional_expected_average_profit(again.x[:5], again.spend[:5])],
        "seconds": round(time.process_time() - start, 2),
    }
    found["customers"] = len(data)
    print(json.dumps(found, indent=1))


main(sys.argv[1])
