"""What the tests share: small models and data, the zoo at small sizes, the command in a folder of its own. No tests."""
