"""The audit: dropout mistakes found in source and in models."""
