"""``ganzoo evaluate``, ``ganzoo compare`` and ``ganzoo classifier``: figures of quality with the protocol they belong to."""
