"""What the verifier, the audit and the commands share."""
