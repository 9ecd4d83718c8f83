"""What a second process gains: steps of two processes with half of the batch each, beside a model of their time.

    OMP_NUM_THREADS=1 python -m pytest -s -n0 tests/benchmarks/test_processes_cost.py

The model: ``t(2) = t(1, half of the batch) + exchange``, where the exchange is that of as many numbers as the players have
weights, timed by itself. It assumes a core for each process, and an exchange that hides behind no computation. Prints a
table. Nothing is asserted of time.
"""

import json
import statistics

import torch
from support.processes_cost import CASES, seconds_a_step, work
from support.torchrun import spawn_two

ROUNDS = 3


def test_two_processes(tmp_path):
    torch.set_num_threads(1)
    rounds = []
    for _ in range(ROUNDS):
        spawn_two(work, tmp_path)
        two = json.loads((tmp_path / "two.json").read_text())
        rounds.append(
            {
                name: {**two[name], "whole": seconds_a_step(name, 1, tmp_path), "half": seconds_a_step(name, 2, tmp_path)}
                for name in CASES
            }
        )
    print(f"\ntorch {torch.__version__}, one thread a process, gloo; milliseconds a step, medians of {ROUNDS} rounds")
    columns = {
        "MB": 6,
        "one, B": 10,
        "one, B/2": 10,
        "exchange": 10,
        "model": 8,
        "two, B/2": 10,
        "two/one": 9,
        "model/two": 11,
    }
    print(" " * 40 + "".join(f"{title:>{width}}" for title, width in columns.items()))
    for name, (batch_size, *_) in CASES.items():
        whole, half, exchange, step = (
            statistics.median(each[name][what] for each in rounds) * 1e3 for what in ("whole", "half", "exchange", "step")
        )
        model, megabytes = half + exchange, rounds[0][name]["bytes"] / 1e6
        figures = (f"{megabytes:.0f}", *(f"{value:.0f}" for value in (whole, half, exchange, model, step)))
        figures += (f"{step / whole:.2f}", f"{model / step:.2f}")
        row = "".join(f"{figure:>{width}}" for figure, width in zip(figures, columns.values(), strict=True))
        print(f"{f'{name}, B = {batch_size}':40}{row}")
        assert step > 0
