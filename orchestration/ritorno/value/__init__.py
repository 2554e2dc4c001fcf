"""Customer value: how often a customer will order again, when next, and for how much.

`models` is the mathematics, `fit` finds parameters, `score` applies them, `backtest` measures them against what
happened, `step` carries it between the warehouse's tables. Only `step` touches a database.
"""
