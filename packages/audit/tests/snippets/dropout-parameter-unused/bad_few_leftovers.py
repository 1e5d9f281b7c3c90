from torch import nn


class Predictor(nn.Module):
    def __init__(
        self,
        dim,
        hidden,
        heads,
        layers,
        out,
        qk_scale=None,
        use_mlp=False,
        attn_drop=0.0,
        predictor_dropout=0.1,  #! dropout-parameter-unused advice
    ):
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, heads, hidden, dropout=attn_drop)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.out = nn.Linear(dim, out)

    def forward(self, x):
        return self.out(self.encoder(x))


class Gate(nn.Module):
    def __init__(self, a, b, c, d, e, f, residual=False, alpha=0.2, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(n, n) for n in (a, b, c, d, e, f))

    def forward(self, x):
        return sum(layer(x) for layer in self.layers)
