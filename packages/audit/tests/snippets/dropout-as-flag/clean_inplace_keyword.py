from torch import nn

drop = nn.Dropout(inplace=True)
