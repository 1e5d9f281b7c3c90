from torch import nn

drop = nn.Dropout(50)  #! p-out-of-range
