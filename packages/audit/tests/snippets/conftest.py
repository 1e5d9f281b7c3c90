"""The snippets are data: many are wrong on purpose, and none is imported."""

collect_ignore_glob = ["*"]
