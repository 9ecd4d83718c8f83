"""The page of ``ganzoo demo``: trained models in a browser, served by this computer to itself."""
