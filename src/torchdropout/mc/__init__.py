"""Monte-Carlo dropout."""
