from torch import nn

# torch's alpha dropouts take inplace and do not use it.
net = nn.Sequential(
    nn.Linear(8, 8),
    nn.SELU(inplace=True),
    nn.AlphaDropout(0.1, inplace=True),
    nn.Linear(8, 8),
    nn.ReLU(),
    nn.FeatureAlphaDropout(0.1, True),
    nn.Linear(8, 8),
)
