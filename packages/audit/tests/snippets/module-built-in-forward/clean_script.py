import torch
from torch import nn

# Once, at the top of a script: nobody expects a mode to be followed here.
drop = nn.Dropout(0.5)
print(drop(torch.ones(8)))
