"""Times training steps of ganzoo beside plain PyTorch and beside the published codes: ``ganzoo bench``."""
