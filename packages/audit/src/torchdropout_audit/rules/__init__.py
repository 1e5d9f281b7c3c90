"""The rules, one per file: what it finds, why that is wrong, an example, and the fix."""
