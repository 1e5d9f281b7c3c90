"""The checks, one file a group; `verify/table.py` lists them and gives them their codes."""
