"""ESMFold's dropout in transformers as a target: one mask for all rows."""

import functools

from transformers.models.esm.modeling_esmfold import EsmFoldDropout

esmfold = functools.partial(EsmFoldDropout, batch_dim=1)
