import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Net(nn.Module):
    def _attend(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)

    def forward(self, q, k, v):
        return checkpoint(self._attend, q, k, v, preserve_rng_state=False)
