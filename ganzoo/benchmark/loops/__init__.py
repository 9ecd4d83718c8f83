"""Training steps without Lightning: in plain PyTorch, and in the order of the published codes.

A file for each system. All use ganzoo's networks and have ganzoo's mathematics: with the same weights, batches and random
numbers they give the same losses (``tests/benchmark/test_loops.py``). They differ in what they cost.

A ``Plain...`` loop is what a careful person writes: the opponent is frozen, nothing is read from the device, optimizers are
fused. A ``Published...`` loop works in the order of the named repository, in our own code: see each class.
"""
