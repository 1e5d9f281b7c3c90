"""What computes: the contract, the kernels, the operators, and what of torch is private."""
