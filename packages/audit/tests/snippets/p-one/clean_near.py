from torch import nn

drop = nn.Dropout(0.99)
