from torch import nn

vgg = nn.Sequential(
    nn.Linear(8, 8),
    nn.ReLU(True),
    nn.Dropout(),
    nn.Linear(8, 8),
    nn.ReLU(inplace=True),
    nn.Dropout(p=0.5, inplace=False),
    nn.Linear(8, 8),
)
