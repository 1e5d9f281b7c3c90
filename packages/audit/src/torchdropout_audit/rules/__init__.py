"""One file a rule: what it finds, why that is wrong, an example, and what to write instead."""
