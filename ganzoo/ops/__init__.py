"""Small functions and modules that several networks or models use; each file is one idea."""
