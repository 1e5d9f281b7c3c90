"""The checks, one file per group; `verify/registry.py` lists them and gives them their codes."""
