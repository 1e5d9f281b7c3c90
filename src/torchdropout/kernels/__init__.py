"""How dropout is computed: one file a backend, all with the signature of `masked_affine`."""
