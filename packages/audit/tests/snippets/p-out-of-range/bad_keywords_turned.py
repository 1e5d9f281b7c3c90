from torch import nn

drop = nn.Dropout(inplace=False, p=50)  #! p-out-of-range
