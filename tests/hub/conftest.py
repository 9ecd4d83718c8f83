"""Fixtures of tests/support that several tests here use."""

from support.evaluate import evaluate_folder as evaluate_folder
