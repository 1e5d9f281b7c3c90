"""How dropout is computed: one file per backend, all with the signature of `masked_affine`."""
