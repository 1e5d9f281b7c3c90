from torch import nn

drop = nn.Dropout(True)  #! dropout-as-flag
