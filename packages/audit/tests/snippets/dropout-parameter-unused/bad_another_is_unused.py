from torch import nn


class WeightedPermute(nn.Module):
    # Nothing reads qk_scale either, but proj_drop is read: this class has a dropout.
    def __init__(self, dim, bias=False, qk_scale=None, attn_drop=0.0, proj_drop=0.0):  #! dropout-parameter-unused advice
        super().__init__()
        self.mlp = nn.Linear(dim, dim, bias=bias)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x):
        return self.proj_drop(self.mlp(x))
